"""What each target of alerts was told, and what it still has to be told.

A target is known by a name that gives nothing of its address away. What it has to be told waits for it here, however
long it is away, and whatever becomes of other targets.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg.rows import class_row
from psycopg.sql import SQL

from vsync_dagster.local_db.alerts import RAISED_COLUMNS, RaisedAlert, Severity, raised_alert
from vsync_dagster.local_db.database import Connection

# A relay that has not told the target anything for this long is taken for dead.
_HOLD = timedelta(minutes=2)
# What a target does not take so many times steps back behind what it was not asked to take yet.
_PATIENCE = 5

_HOLD_TARGET = """
update alert_targets set held_until = clock_timestamp() + %s
where name = %s and next_try_at <= clock_timestamp() and held_until <= clock_timestamp()
"""

# A target that is new is not told of what has passed; one that was away is, since its rows wait.
_ENROL = """
insert into alert_deliveries (alert_id, target)
select id, %s from alerts
where (resolved_at is null or resolved_at > now() - interval '1 day') and severity >= %s::alert_severity
on conflict do nothing
"""

# What was raised and resolved while it was silenced is not sent afterwards.
_DROP_SILENCED = """
update alert_deliveries d set recovery_told_at = now() from alerts a
where a.id = d.alert_id and d.target = %s and d.told_at is null and d.recovery_told_at is null
    and alert_silenced_until(a.fingerprint, a.resolved_at) is not null
"""

_WAITS = SQL("""
d.recovery_told_at is null and (
    d.told_at is null
    or a.resolved_at is not null
    or a.severity > d.told_severity
    or d.told_at <= now() - %(repeat)s
)
""")

_PENDING = SQL("""
select {}, a.resolved_at is not null and d.told_at is not null as is_recovery
from alert_deliveries d join alerts a on a.id = d.alert_id
where d.target = %(target)s and (%(silenced)s or alert_silenced_until(a.fingerprint, now()) is null) and {}
order by d.attempts / %(patience)s, a.id limit %(limit)s
""").format(RAISED_COLUMNS, _WAITS)

_TOLD = """
update alert_deliveries
set attempts = 0, told_at = now(), told_severity = %s::alert_severity,
    recovery_told_at = case when %s then now() end
where target = %s and alert_id = %s
"""

_TAKEN = """
update alert_targets
set failures = 0, last_error = null, last_told_at = now(), held_until = clock_timestamp() + %s
where name = %s
"""

_NOT_TAKEN = """
update alert_targets
set failures = failures + 1, last_error = %s, held_until = clock_timestamp(),
    next_try_at = clock_timestamp() + interval '30 seconds' * least(power(2, least(failures, 10)), 20)
where name = %s
"""

_STATES = SQL("""
select t.name, t.failures, t.last_error, t.last_told_at, t.next_try_at, (
    select count(*) from alert_deliveries d join alerts a on a.id = d.alert_id
    where d.target = t.name and alert_silenced_until(a.fingerprint, now()) is null and {}
) as waiting
from alert_targets t order by t.name
""").format(_WAITS)


@dataclass(frozen=True, slots=True)
class Message:
    """What a target is to be told: that an alert stands, or that it has recovered."""

    raised: RaisedAlert
    is_recovery: bool


@dataclass(frozen=True, slots=True)
class TargetState:
    """How a target does. `failures` counts those since it last took something; `waiting` what it has to be told."""

    name: str
    failures: int
    last_error: str | None
    last_told_at: datetime | None
    next_try_at: datetime
    waiting: int


def hold(conn: Connection, target: str) -> bool:
    """Take a target for this relay; False where another has it, or where it is left alone after a failure."""
    conn.execute("insert into alert_targets (name) values (%s) on conflict do nothing", [target])
    return conn.execute(_HOLD_TARGET, [_HOLD, target]).rowcount == 1


def let_go(conn: Connection, target: str) -> None:
    """Give a target back."""
    conn.execute("update alert_targets set held_until = clock_timestamp() where name = %s", [target])


def pending(
    conn: Connection, target: str, *, minimum: Severity, repeat: timedelta, limit: int, silenced: bool = False
) -> list[Message]:
    """Return what a target is to be told next, in the order in which the alerts were raised.

    An alert below `minimum` is not for this target. One that stands is told again after `repeat`; one that was
    resolved before it could be told is told all the same, and then its recovery. One that a person has silenced waits
    until the silence ends, unless the target silences by itself (`silenced`).
    """
    conn.execute(_ENROL, [target, minimum])
    if not silenced:
        conn.execute(_DROP_SILENCED, [target])
    wanted = {"target": target, "repeat": repeat, "limit": limit, "patience": _PATIENCE, "silenced": silenced}
    rows = conn.execute(_PENDING, wanted).fetchall()
    return [Message(raised_alert(row), row[-1]) for row in rows]


def mark_told(conn: Connection, target: str, messages: Sequence[Message]) -> None:
    """Write down that the target took the messages."""
    with conn.cursor() as cursor:
        cursor.executemany(
            _TOLD, [(each.raised.alert.severity, each.is_recovery, target, each.raised.id) for each in messages]
        )
    conn.execute(_TAKEN, [_HOLD, target])


def mark_failed(conn: Connection, target: str, messages: Sequence[Message], error: str) -> None:
    """Count a failure, and leave the target alone for a while: from 30 s on up to 10 min. `error` holds no address."""
    conn.execute(
        "update alert_deliveries set attempts = attempts + 1 where target = %s and alert_id = any(%s)",
        [target, [each.raised.id for each in messages]],
    )
    conn.execute(_NOT_TAKEN, [error, target])


def states(conn: Connection, repeat: timedelta) -> list[TargetState]:
    """Return how each target does, those included that are no longer configured."""
    with conn.cursor(row_factory=class_row(TargetState)) as cursor:
        return cursor.execute(_STATES, {"repeat": repeat}).fetchall()
