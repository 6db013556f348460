"""Alerts: raised and resolved here, told to people by `vsync_dagster.alerts`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, LiteralString

from psycopg.sql import SQL
from psycopg.types.json import Jsonb

from vsync_dagster.local_db.database import Connection
from vsync_dagster.reconcile.errors import InvalidInputError

_RAISE = """
insert into alerts as alert (fingerprint, name, severity, title, text, link, labels)
values (%s, %s, %s, %s, %s, %s, %s)
on conflict (fingerprint) where resolved_at is null do update
set name = excluded.name, severity = excluded.severity, title = excluded.title, text = excluded.text,
    link = excluded.link, labels = excluded.labels, times_raised = alert.times_raised + 1
returning times_raised
"""

RAISED_COLUMNS = SQL("""
a.id, a.times_raised, a.raised_at, a.resolved_at, alert_silenced_until(a.fingerprint, now()),
a.fingerprint, a.name, a.severity::text, a.title, a.text, a.link, a.labels
""")

_STANDING = SQL("select {} from alerts a where resolved_at is null order by a.severity desc, id").format(RAISED_COLUMNS)


LONGEST_SILENCE = timedelta(days=30)

# By what the database's functions return.
_REFUSALS = {
    "NOT_STANDING": "no such alert stands: `vsync alerts list` shows those that do",
    "NO_REASON": "say why, with --reason",
    "NO_END": f"a silence has an end, in the future and at most {LONGEST_SILENCE.days} days away: --until or --hours",
}


class AlertRefusedError(InvalidInputError):
    """An alert cannot be resolved or silenced in this way; nothing was written."""

    code = "alert-refused"


class Severity(StrEnum):
    """How soon a person should look, from the least to the most urgent."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that a person should know. Nothing personal in it: it leaves the house.

    Attributes:
        fingerprint: what it is about, such as `VSyncFailed/12345678`. The same fingerprint is the same alert: it is
            told once, and again only when it has stood for long, has become more severe, or comes back after it was
            resolved.
        name: its kind, in one word as in Prometheus, such as `VSyncFailed`.
        severity: how soon a person should look.
        title: one line that says what is wrong, and for whom.
        text: the figures, and what to do.
        link: a URL to look at, such as the run's.
        labels: what Alertmanager routes by besides name and severity, such as `{"ispb": "12345678"}`; always the same
            for a fingerprint.
    """

    fingerprint: str
    name: str
    severity: Severity
    title: str
    text: str
    link: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RaisedAlert:
    """An alert as it is kept, from when it was first raised; `resolved_at` is None while it stands.

    `silenced_until` is when its silence ends, None where nobody has silenced it.
    """

    id: int
    times_raised: int
    raised_at: datetime
    resolved_at: datetime | None
    alert: Alert
    silenced_until: datetime | None = None


def raise_alert(conn: Connection, alert: Alert) -> bool:
    """Raise an alert in the caller's transaction; False where it stands already, which then says what this one says."""
    values = [alert.fingerprint, alert.name, alert.severity, alert.title, alert.text, alert.link]
    [(times_raised,)] = conn.execute(_RAISE, [*values, Jsonb(dict(alert.labels))]).fetchall()
    return bool(times_raised == 1)


def resolve(conn: Connection, fingerprint: str) -> bool:
    """Resolve an alert in the caller's transaction; False where it does not stand."""
    resolved = "update alerts set resolved_at = now() where fingerprint = %s and resolved_at is null"
    return conn.execute(resolved, [fingerprint]).rowcount == 1


def resolve_by_hand(conn: Connection, fingerprint: str, reason: str) -> None:
    """Resolve an alert as the person whose login the connection has; the trail says who, when and why.

    What still is the case is raised again when it is next evaluated.

    Raises:
        AlertRefusedError: no such alert stands, or the reason is empty.
        NotAllowedError: the login lacks the role vsync_operator.
    """
    _call(conn, "select alert_resolve(%s, %s)", fingerprint, reason)


def silence(conn: Connection, fingerprint: str, reason: str, until: datetime) -> None:
    """Have nobody notified of an alert until a time (with a zone); the trail says who, when and why.

    The latest silence of an alert counts. It holds also where the alert is resolved and raised again meanwhile.

    Raises:
        AlertRefusedError: no such alert stands, the reason is empty, or the end is past or over 30 days away.
        NotAllowedError: the login lacks the role vsync_operator.
    """
    _call(conn, "select alert_silence(%s, %s, %s)", fingerprint, reason, until)


def _call(conn: Connection, query: LiteralString, *parameters: object) -> None:
    [(outcome,)] = conn.execute(query, parameters).fetchall()
    if outcome != "DONE":
        raise AlertRefusedError(_REFUSALS[outcome])


def standing(conn: Connection) -> list[RaisedAlert]:
    """Return the alerts that stand, the most severe first."""
    return [raised_alert(row) for row in conn.execute(_STANDING).fetchall()]


def raised_alert(row: tuple[Any, ...]) -> RaisedAlert:
    """Return an alert from a row that begins with `RAISED_COLUMNS`."""
    number, times_raised, raised_at, resolved_at, silenced_until, *about = row[:12]
    fingerprint, name, severity, title, text, link, labels = about
    alert = Alert(fingerprint, name, Severity(severity), title, text, link, labels)
    return RaisedAlert(number, times_raised, raised_at, resolved_at, alert, silenced_until)
