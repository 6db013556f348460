"""Rings when verifications, FULL syncs or reviews are late: also when nothing runs at all, or nothing can."""

import math
from collections.abc import Iterable, Iterator
from itertools import chain, groupby

import dagster as dg

from vsync_dagster.local_db import alerts, metrics
from vsync_dagster.local_db.alerts import Alert, Severity
from vsync_dagster.local_db.database import Connection
from vsync_dagster.local_db.metrics import Clock, ReviewQueue
from vsync_dagster.reconcile.waiting import LONGEST_REVIEW, ClockLimits, Overdue, overdue
from vsync_dagster.resources import LocalDatabase, environment

HOUR = 3_600.0
DAY = 24 * HOUR
NOT_ANSWERED, NOT_OK = "VSyncNotAnswered", "VSyncNotOk"
NOT_READ_WHOLE, REVIEW_WAITS = "VSyncNotReadWhole", "VSyncReviewWaits"
_OURS = (NOT_ANSWERED, NOT_OK, NOT_READ_WHOLE, REVIEW_WAITS)


@dg.sensor(
    minimum_interval_seconds=300,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Raises an alert for each participant whose verifications, FULL syncs or reviews are late."
    " Starts no run.",
)
def verification_clock(local_database: LocalDatabase) -> dg.SkipReason:
    """Raise what is late and resolve what is late no more, in one transaction."""
    limits = environment().clock_limits

    def tell(connection: Connection) -> int:
        ringing = chain(
            late_alerts(metrics.clocks(connection), limits), review_alerts(metrics.review_queues(connection))
        )
        late = {alert.fingerprint: alert for alert in ringing}
        for alert in late.values():
            alerts.raise_alert(connection, alert)
        for each in alerts.standing(connection):
            if each.alert.name in _OURS and each.alert.fingerprint not in late:
                alerts.resolve(connection, each.alert.fingerprint)
        return len(late)

    return dg.SkipReason(f"{local_database.database().retrying(tell)} clocks ring")


def late_alerts(clocks: Iterable[Clock], limits: ClockLimits) -> Iterator[Alert]:
    """Return the alerts that stand by the clocks of all key types: at most three a participant."""
    for ispb, group in groupby(sorted(clocks, key=lambda clock: clock.ispb), lambda clock: clock.ispb):
        own = list(group)
        answered = overdue(
            {clock.key_type: clock.since_answered for clock in own},
            warn_after=limits.answered_warning.total_seconds(),
            critical_after=limits.answered_critical.total_seconds(),
        )
        if answered is not None:
            yield _alert(NOT_ANSWERED, ispb, answered, "DICT last answered a verification", critical=answered.critical)
        said_ok = overdue(
            {clock.key_type: clock.since_ok for clock in own},
            warn_after=limits.ok.total_seconds(),
            critical_after=limits.ok.total_seconds(),
        )
        if said_ok is not None:
            yield _not_ok(ispb, said_ok, own, limits)
        read_whole = overdue(
            {clock.key_type: clock.since_read_whole for clock in own},
            warn_after=limits.read_whole.total_seconds(),
            critical_after=math.inf,
        )
        if read_whole is not None:
            yield _not_read_whole(ispb, read_whole)


def review_alerts(queues: Iterable[ReviewQueue]) -> Iterator[Alert]:
    """Return an alert for each participant with a key that has waited too long for a person."""
    for queue in queues:
        if queue.oldest_seconds > LONGEST_REVIEW.total_seconds():
            yield Alert(
                fingerprint=f"{REVIEW_WAITS}/{queue.ispb}",
                name=REVIEW_WAITS,
                severity=Severity.WARNING,
                title=f"{queue.ispb}: a key has waited {queue.oldest_seconds / HOUR:.0f} hours for a decision",
                text=f"{queue.waiting} wait: see docs/compliance.md, and `vsync review list --ispb {queue.ispb}`.",
                labels={"ispb": queue.ispb},
            )


def _not_ok(ispb: str, said_ok: Overdue, own: Iterable[Clock], limits: ClockLimits) -> Alert:
    """Where only keys under review stand between us and OK, people have something to decide, and no side is wrong."""
    without = max(clock.since_ok_without_review for clock in own if clock.key_type in said_ok.key_types)
    return _alert(
        NOT_OK,
        ispb,
        said_ok,
        "DICT last said OK",
        critical=without > limits.ok.total_seconds(),
        beside=f" Without the keys under review, DICT last said OK {without / HOUR:.0f} hours ago.",
    )


def _not_read_whole(ispb: str, late: Overdue) -> Alert:
    """A warning at most: daily syncs go on by the ledger, and DICT answers them."""
    return Alert(
        fingerprint=f"{NOT_READ_WHOLE}/{ispb}",
        name=NOT_READ_WHOLE,
        severity=Severity.WARNING,
        title=f"{ispb}: the table was last read whole and proved {late.seconds / DAY:.0f} days ago",
        text=f"Late: {', '.join(late.key_types)}. FULL syncs do not come, or prove nothing:"
        f" run `vsync sync --ispb {ispb} --sync-type FULL`.",
        labels={"ispb": ispb},
    )


def _alert(name: str, ispb: str, late: Overdue, what: str, *, critical: bool, beside: str = "") -> Alert:
    return Alert(
        fingerprint=f"{name}/{ispb}",
        name=name,
        severity=Severity.CRITICAL if critical else Severity.WARNING,
        title=f"{ispb}: {what} {late.seconds / HOUR:.0f} hours ago",
        text=f"Late: {', '.join(late.key_types)}.{beside} DICT's manual demands a verification every 36 hours at the"
        f" latest: run `vsync sync --ispb {ispb}`.",
        labels={"ispb": ispb},
    )
