"""Rings when a participant's verifications are late: also when nothing runs at all, or nothing can."""

from collections.abc import Iterable, Iterator
from itertools import groupby

import dagster as dg

from vsync_dagster.local_db import alerts, metrics
from vsync_dagster.local_db.alerts import Alert, Severity
from vsync_dagster.local_db.database import Connection
from vsync_dagster.local_db.metrics import Clock
from vsync_dagster.reconcile.waiting import LONGEST_INTERVAL, Overdue, overdue
from vsync_dagster.resources import LocalDatabase

HOUR = 3_600.0
NOT_ANSWERED, NOT_OK = "VSyncNotAnswered", "VSyncNotOk"
ANSWER_WARNING_H, ANSWER_CRITICAL_H = 24, 33


@dg.sensor(
    minimum_interval_seconds=300,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Raises an alert for each participant whose verifications are late. Starts no run.",
)
def verification_clock(local_database: LocalDatabase) -> dg.SkipReason:
    """Raise what is late and resolve what is late no more, in one transaction."""

    def tell(connection: Connection) -> int:
        late = {alert.fingerprint: alert for alert in late_alerts(metrics.clocks(connection))}
        for alert in late.values():
            alerts.raise_alert(connection, alert)
        for each in alerts.standing(connection):
            if each.alert.name in (NOT_ANSWERED, NOT_OK) and each.alert.fingerprint not in late:
                alerts.resolve(connection, each.alert.fingerprint)
        return len(late)

    return dg.SkipReason(f"{local_database.database().retrying(tell)} clocks ring")


def late_alerts(clocks: Iterable[Clock]) -> Iterator[Alert]:
    """Return the alerts that stand by the clocks of all key types: at most two a participant."""
    for ispb, group in groupby(sorted(clocks, key=lambda clock: clock.ispb), lambda clock: clock.ispb):
        own = list(group)
        answered = overdue(
            {clock.key_type: clock.since_answered for clock in own},
            warn_after=ANSWER_WARNING_H * HOUR,
            critical_after=ANSWER_CRITICAL_H * HOUR,
        )
        if answered is not None:
            yield _alert(NOT_ANSWERED, ispb, answered, "DICT last answered a verification")
        said_ok = overdue(
            {clock.key_type: clock.since_ok for clock in own},
            warn_after=LONGEST_INTERVAL.total_seconds(),
            critical_after=LONGEST_INTERVAL.total_seconds(),
        )
        if said_ok is not None:
            yield _alert(NOT_OK, ispb, said_ok, "DICT last said OK")


def _alert(name: str, ispb: str, late: Overdue, what: str) -> Alert:
    return Alert(
        fingerprint=f"{name}/{ispb}",
        name=name,
        severity=Severity.CRITICAL if late.critical else Severity.WARNING,
        title=f"{ispb}: {what} {late.seconds / HOUR:.0f} hours ago",
        text=f"Late: {', '.join(late.key_types)}. DICT's manual demands a verification every 36 hours at the latest:"
        f" see docs/runbooks.md, and run `vsync sync --ispb {ispb}`.",
        labels={"ispb": ispb},
    )
