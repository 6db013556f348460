"""What the metrics are made of: figures of this moment, read in a few bounded queries.

A dry run changes nothing and proves nothing: it counts in none of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from psycopg.errors import InsufficientPrivilege, InvalidSchemaName, UndefinedTable
from psycopg.rows import class_row

from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.local_db.reports import COMPARED_ITSELF, IS_SYNC, REPAIRED_ITSELF
from vsync_dagster.reconcile.keys import KeyType

Row = TypeVar("Row")

# The failures since the last sync that was none are counted up to here.
_FAILURES_COUNTED = 1_000
_WAITING_COUNTED = 100_000

_FIXES_KNOWN = f"({REPAIRED_ITSELF} or fixes_failed > 0)"
_FIXES = "entries_created + entries_updated + entries_deleted + fixes_failed"
# Where no fix was tried, none failed.
_ERROR_RATE = f"coalesce(fixes_failed::float8 / nullif({_FIXES}, 0), 0)"

# Of each participant the last comparison with DICT, and how many of the keys that it missed there were not put up for
# review since: by its own run, or by those that went on with it.
_LAST_COMPARISON = f"""
left join lateral (
    select discrepancies, greatest(missing_bacen - (
        select coalesce(sum(entries_deleted), 0) from (
            select entries_deleted from sync_reports where run_id = compared.run_id
            union all
            select entries_deleted from sync_reports
            where compared_by = compared.run_id and compared_by <> run_id and not dry_run
        ) as repairs
    ), 0) as not_put_up
    from sync_reports as compared
    where participant_ispb = p.participant_ispb and not dry_run and discrepancies is not null and {COMPARED_ITSELF}
    order by sync_timestamp desc limit 1
) as comparison on true
"""  # noqa: S608 - constants
_MISSING_AT_DICT = """
comparison.not_put_up + (
    select count(*) from manual_review_queue
    where participant_ispb = p.participant_ispb and status in ('PENDING', 'KEPT')
)
"""

_LAST_SYNCS = f"""
select p.participant_ispb as ispb, r.status, r.duration_ms / 1000.0::float8 as duration_seconds,
    extract(epoch from r.sync_timestamp)::float8 as started_at, r.discrepancies, r.error_rate,
    comparison.discrepancies as known_discrepancies, repair.error_rate as known_error_rate,
    ({_MISSING_AT_DICT})::bigint as missing_bacen, f.failed
from participants p
cross join lateral (
    select status, duration_ms, sync_timestamp, case when {COMPARED_ITSELF} then discrepancies end as discrepancies,
        case when {_FIXES_KNOWN} then {_ERROR_RATE} end as error_rate
    from sync_reports where participant_ispb = p.participant_ispb and {IS_SYNC}
    order by sync_timestamp desc limit 1
) r
{_LAST_COMPARISON}
left join lateral (
    select {_ERROR_RATE} as error_rate
    from sync_reports where participant_ispb = p.participant_ispb and not dry_run and {_FIXES_KNOWN}
    order by sync_timestamp desc limit 1
) as repair on true
cross join lateral (
    select count(*) as failed from (
        select from sync_reports
        where participant_ispb = p.participant_ispb and not dry_run and status = 'FAILED'
            and sync_timestamp > coalesce((
                select max(sync_timestamp) from sync_reports
                where participant_ispb = p.participant_ispb and {IS_SYNC} and status <> 'FAILED'
            ), '-infinity')
        limit %s
    ) failures
) f
where p.enabled
"""  # noqa: S608 - constants

_MISSING_OF = f"""
select ({_MISSING_AT_DICT})::bigint from (select %s::text as participant_ispb) as p {_LAST_COMPARISON}
"""  # noqa: S608 - constants

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
    extract(epoch from now() - min(
        case status when 'KEPT' then sync_day_begins(ask_again_on) else created_at end
    ))::float8 as oldest_seconds
from manual_review_queue where status = 'PENDING' or status = 'KEPT' and ask_again_on <= sync_today()
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


_PROOFS = f"""
select p.participant_ispb as ispb, r.verified as proved
from participants p
cross join lateral (
    select verified from sync_reports where participant_ispb = p.participant_ispb and {IS_SYNC}
    order by sync_timestamp desc limit 1
) r
where p.enabled
"""  # noqa: S608 - constants

_INTEGRITY = """
select participant_ispb as ispb, tampered from integrity_checks join participants p using (participant_ispb)
where p.enabled
"""

# Dagster's own table, in UTC without a zone.
_HEARTBEATS = """
select daemon_type as daemon, extract(epoch from (now() at time zone 'UTC') - max(timestamp))::float8 as seconds
from dagster.daemon_heartbeats group by 1
"""


@dataclass(frozen=True, slots=True)
class LastSync:
    """The last sync of a participant; a figure that is not known is None. `started_at` is in seconds since 1970.

    `discrepancies` are those that the last sync found, `error_rate` is the share of its fixes that failed, 0 to 1;
    `known_discrepancies` and `known_error_rate` are those of the last sync that came so far. `missing_bacen` counts the
    keys that are here and not at DICT as they stand: those under review, and those that the last comparison found and
    that were not put up for review. `failed` counts the syncs that have FAILED since the last one that did not.
    """

    ispb: str
    status: str
    duration_seconds: float
    started_at: float
    discrepancies: int | None
    error_rate: float | None
    known_discrepancies: int | None
    known_error_rate: float | None
    missing_bacen: int | None
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
class LastProof:
    """Whether the last sync of a participant proved that both sides hold the same keys."""

    ispb: str
    proved: bool


@dataclass(frozen=True, slots=True)
class Integrity:
    """How many rows the last FULL sync of a participant found that were changed beneath their CID."""

    ispb: str
    tampered: int


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """How many seconds ago one of Dagster's daemons last said that it lives."""

    daemon: str
    seconds: float


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
    proofs: Sequence[LastProof]
    integrity: Sequence[Integrity]
    heartbeats: Sequence[Heartbeat]


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
            proofs=_rows(conn, LastProof, _PROOFS),
            integrity=_rows(conn, Integrity, _INTEGRITY),
            heartbeats=heartbeats(conn),
        )


def heartbeats(conn: Connection) -> Sequence[Heartbeat]:
    """Return the heartbeats of Dagster's daemons, one for each that ever ran.

    None where Dagster keeps its tables in another database, where its daemon never ran, or where the login may not read
    them: then nothing is known.
    """
    try:
        with conn.transaction():
            return _rows(conn, Heartbeat, _HEARTBEATS)
    except (UndefinedTable, InvalidSchemaName, InsufficientPrivilege):
        return []


def missing_at_dict(conn: Connection, ispb: str) -> int | None:
    """Return how many keys are here and not at DICT, as they stand; None where nothing was ever compared."""
    row = conn.execute(_MISSING_OF.encode(), [ispb]).fetchone()
    return row[0] if row else None


def clocks(conn: Connection) -> Sequence[Clock]:
    """Return the clocks of every enabled participant and key type."""
    return _rows(conn, Clock, _CLOCKS, [str(key_type) for key_type in KeyType])


def review_queues(conn: Connection) -> Sequence[ReviewQueue]:
    """Return the review queue of every participant that has keys in it which wait for a person."""
    return _rows(conn, ReviewQueue, _REVIEW)


def _rows(conn: Connection, kind: type[Row], query: str, *parameters: object) -> list[Row]:
    with conn.cursor(row_factory=class_row(kind)) as cursor:
        return cursor.execute(query.encode(), parameters or None).fetchall()
