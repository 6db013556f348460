"""What the metrics are made of: figures of this moment, read in a few bounded queries.

A dry run changes nothing and proves nothing: it counts in none of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from psycopg.rows import class_row

from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.reconcile.keys import KeyType

Row = TypeVar("Row")

# The failures since the last sync that was none are counted up to here.
_FAILURES_COUNTED = 1_000
_WAITING_COUNTED = 100_000

_LAST_SYNCS = """
select p.participant_ispb as ispb, r.status, r.duration_ms / 1000.0::float8 as duration_seconds,
    extract(epoch from r.sync_timestamp)::float8 as started_at, r.discrepancies, r.missing_bacen, r.fixes_failed,
    r.entries_created + r.entries_updated + r.entries_deleted as fixes_made, f.failed
from participants p
cross join lateral (
    select status, duration_ms, sync_timestamp, discrepancies, missing_bacen, fixes_failed, entries_created,
        entries_updated, entries_deleted
    from sync_reports where participant_ispb = p.participant_ispb and not dry_run
    order by sync_timestamp desc limit 1
) r
cross join lateral (
    select count(*) as failed from (
        select from sync_reports
        where participant_ispb = p.participant_ispb and not dry_run and sync_timestamp > coalesce((
            select max(sync_timestamp) from sync_reports
            where participant_ispb = p.participant_ispb and not dry_run and status <> 'FAILED'
        ), '-infinity')
        limit %s
    ) failures
) f
where p.enabled
"""

# Prometheus counts what is as long as a bound below it, `width_bucket` above; durations are whole milliseconds.
_DURATIONS = """
select width_bucket((duration_ms - 1) / 1000.0::float8, %s::float8[]) as bucket, count(*) as syncs,
    sum(duration_ms)::float8 / 1000 as seconds
from sync_reports where not dry_run group by 1
"""

# A participant that DICT never answered for has waited since it was registered.
_CLOCKS = """
select p.participant_ispb as ispb, key_type,
    extract(epoch from now() - coalesce(s.answered_at, p.created_at))::float8 as since_answered,
    extract(epoch from now() - coalesce(s.true_ok_at, p.created_at))::float8 as since_ok,
    extract(epoch from now() - coalesce(s.verified_at, p.created_at))::float8 as since_ok_without_review,
    extract(epoch from now() - coalesce(s.read_whole_at, p.created_at))::float8 as since_read_whole,
    coalesce(cardinality(s.excluded_cids), 0) as left_out
from participants p cross join unnest(%s::text[]) as key_type
left join sync_state s using (participant_ispb, key_type)
where p.enabled
"""

_REVIEW = """
select participant_ispb as ispb, count(*) as waiting,
    extract(epoch from now() - min(case status when 'KEPT' then ask_again_on else created_at end))::float8
        as oldest_seconds
from manual_review_queue where status = 'PENDING' or status = 'KEPT' and ask_again_on <= current_date
group by 1
"""

_OUTBOX = """
select count(*) as waiting, coalesce(extract(epoch from now() - min(created_at)), 0)::float8 as oldest_seconds
from (select created_at from outbox where published_at is null order by id limit %s) waiting
"""

_ALERTS = """
select s.severity::text, count(a.id) as standing
from unnest(enum_range(null::alert_severity)) as s (severity)
left join alerts a on a.severity = s.severity and a.resolved_at is null group by 1
"""

_BUDGETS = """
select scope_ispb as ispb, policy, capacity, least(
    capacity,
    tokens + greatest(extract(epoch from now() - updated_at)::float8, 0) * refill_tokens / refill_period_sec
) as tokens
from dict_budgets
"""


@dataclass(frozen=True, slots=True)
class LastSync:
    """The last sync of a participant. `started_at` is in seconds since 1970.

    `failed` counts the syncs that have FAILED since the last one that did not; `fixes_made` the entries created,
    updated and put up for review.
    """

    ispb: str
    status: str
    duration_seconds: float
    started_at: float
    discrepancies: int
    missing_bacen: int
    fixes_failed: int
    fixes_made: int
    failed: int


@dataclass(frozen=True, slots=True)
class Durations:
    """The syncs that took longer than the bound number `bucket` (1 the first, 0 none) and at most the next."""

    bucket: int
    syncs: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Clock:
    """Seconds since DICT last answered a verification of a key type, and since it last said OK to the true VSync.

    `since_ok_without_review` is since the last OK, keys under review left out or not; `left_out` counts those that
    were; `since_read_whole` is since the table was last read whole for a set that was then OK. What never happened
    counts from when the participant was registered.
    """

    ispb: str
    key_type: str
    since_answered: float
    since_ok: float
    since_ok_without_review: float
    since_read_whole: float
    left_out: int


@dataclass(frozen=True, slots=True)
class ReviewQueue:
    """The keys of a participant that wait for a person; one that was kept waits from the day that it is asked again."""

    ispb: str
    waiting: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True)
class Outbox:
    """The events that wait to be published, counted up to 100,000."""

    waiting: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True)
class StandingAlerts:
    """How many alerts of a severity stand."""

    severity: str
    standing: int


@dataclass(frozen=True, slots=True)
class Budget:
    """What is left of a policy of DICT's for the holder of a certificate."""

    ispb: str
    policy: str
    capacity: int
    tokens: float


@dataclass(frozen=True, slots=True)
class Figures:
    """All figures of one moment."""

    last_syncs: Sequence[LastSync]
    durations: Sequence[Durations]
    clocks: Sequence[Clock]
    review_queues: Sequence[ReviewQueue]
    outbox: Outbox
    alerts: Sequence[StandingAlerts]
    budgets: Sequence[Budget]


def read_figures(database: Database, duration_bounds: Sequence[float]) -> Figures:
    """Read all figures; the bounds of the durations are in seconds, ascending.

    Raises:
        DatabaseUnavailableError, DatabaseError: they cannot be read; none of them is then known.
    """
    with database.connect() as conn:
        [outbox] = _rows(conn, Outbox, _OUTBOX, _WAITING_COUNTED)
        return Figures(
            last_syncs=_rows(conn, LastSync, _LAST_SYNCS, _FAILURES_COUNTED),
            durations=_rows(conn, Durations, _DURATIONS, list(duration_bounds)),
            clocks=clocks(conn),
            review_queues=review_queues(conn),
            outbox=outbox,
            alerts=_rows(conn, StandingAlerts, _ALERTS),
            budgets=_rows(conn, Budget, _BUDGETS),
        )


def clocks(conn: Connection) -> Sequence[Clock]:
    """Return the clocks of every enabled participant and key type."""
    return _rows(conn, Clock, _CLOCKS, [str(key_type) for key_type in KeyType])


def review_queues(conn: Connection) -> Sequence[ReviewQueue]:
    """Return the review queue of every participant that has keys in it which wait for a person."""
    return _rows(conn, ReviewQueue, _REVIEW)


def _rows(conn: Connection, kind: type[Row], query: str, *parameters: object) -> list[Row]:
    with conn.cursor(row_factory=class_row(kind)) as cursor:
        return cursor.execute(query.encode(), parameters or None).fetchall()
