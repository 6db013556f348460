"""Sync reports: one a run, never changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any
from uuid import UUID

from psycopg.rows import class_row
from psycopg.sql import SQL, Composed, Identifier, Placeholder
from psycopg.types.json import Jsonb

from vsync_dagster.local_db.database import Connection
from vsync_dagster.reconcile.keys import KeyType
from vsync_dagster.reconcile.status import Status

# Reports of earlier versions do not say who compared and repaired: their own run, unless it FAILED.
COMPARED_ITSELF = "(compared_by = run_id or compared_by is null and status <> 'FAILED')"
REPAIRED_ITSELF = "(repaired_by = run_id or repaired_by is null and status <> 'FAILED')"
# A run that repeats a part of another's sync is one only if it proves the result by itself.
IS_SYNC = f"not dry_run and (status = 'FAILED' or verified or {COMPARED_ITSELF})"

# What is proved without the keys under review is what DICT holds.
_LAST_VERIFIED_KEYS = """
select sum((told ->> 'entries')::bigint)
    - coalesce(sum((told ->> 'under_review')::bigint) filter (where told ->> 'proof' = 'VSYNC_WITHOUT_REVIEW'), 0)
from sync_reports cross join jsonb_each(key_types) as each (name, told)
where id = (
    select id from sync_reports where participant_ispb = %s and verified and not dry_run
    order by sync_timestamp desc, id limit 1
)
"""


@dataclass(frozen=True, slots=True)
class Report:
    """What one run found, did and proved; the fields are the columns of `sync_reports`.

    `entries_deleted` counts entries put up for review: nothing is deleted. `sync_timestamp` is the start, in UTC;
    `key_types` holds what is said of each key type, as JSON. `pending` counts the differences that wait for DICT's
    budgets, `plan` is what they were planned with (as JSON), and from `resume_at` on another sync can go on.

    A figure that is not known is None. `compared_by` is the run that compared with DICT, up to `compared_at` by DICT's
    clock: the differences are those that it found. `repaired_by` is the run whose repair ended, at `repaired_at`; the
    fixes that are counted are those of `run_id` alone. Reports of earlier versions have neither: they are about their
    own run.
    """

    id: UUID
    run_id: str
    participant_ispb: str
    sync_type: str
    sync_day: date
    sync_timestamp: datetime
    duration_ms: int
    status: str
    error_message: str | None
    dry_run: bool
    entries_synced: int | None
    entries_created: int | None
    entries_updated: int | None
    entries_deleted: int | None
    discrepancies: int | None
    missing_local: int | None
    outdated_local: int | None
    missing_bacen: int | None
    in_flight: int | None
    fixes_failed: int | None
    verified: bool
    pending: int | None
    resume_at: datetime | None
    plan: Mapping[str, Any] | None
    key_types: Mapping[str, Any]
    compared_by: str | None = None
    compared_at: datetime | None = None
    repaired_by: str | None = None
    repaired_at: datetime | None = None

    @property
    def compared_itself(self) -> bool:
        """Whether the differences that it shows are those that its own run found."""
        if self.compared_by is None:
            return self.status != Status.FAILED
        return self.compared_by == self.run_id

    @property
    def repaired_itself(self) -> bool:
        """Whether the repair of its own run ended."""
        if self.repaired_by is None:
            return self.status != Status.FAILED
        return self.repaired_by == self.run_id


@dataclass(frozen=True, slots=True)
class Day:
    """How a participant's day ended: its last report that was no dry run."""

    id: UUID
    participant_ispb: str
    sync_day: date
    status: str
    verified: bool


_NAMES = tuple(field.name for field in fields(Report))
_COLUMNS = SQL(", ").join(map(Identifier, _NAMES))
_INSERT = SQL("insert into sync_reports ({}) values ({}) on conflict (run_id) do nothing").format(
    _COLUMNS, SQL(", ").join([Placeholder()] * len(_NAMES))
)


_SELECT = SQL("select {} from sync_reports").format(_COLUMNS)
_GET = SQL("{} where id = %s").format(_SELECT)
_OF_RUN = SQL("{} where run_id = %s").format(_SELECT)
_LAST_SYNC = SQL("{} where participant_ispb = %s and {} order by sync_timestamp desc, id limit 1").format(
    _SELECT, SQL(IS_SYNC)
)
_LATEST = SQL("order by sync_timestamp desc, id limit %(limit)s")
_LIST = SQL("{} {}").format(_SELECT, _LATEST)
_LIST_OF = SQL("{} where participant_ispb = %(ispb)s {}").format(_SELECT, _LATEST)


DAYS = """
select distinct on (participant_ispb, sync_day) id, participant_ispb, sync_day, status, verified
from sync_reports
where sync_day between %(first)s and %(last)s and participant_ispb = any(%(ispbs)s) and not dry_run
order by participant_ispb, sync_day, sync_timestamp desc, id
"""


def insert(conn: Connection, report: Report) -> bool:
    """Write a report; False where this run has one, which then stands."""
    values = [_column(getattr(report, name)) for name in _NAMES]
    return conn.execute(_INSERT, values).rowcount == 1


def get(conn: Connection, report_id: UUID) -> Report | None:
    """Return one report."""
    row = conn.execute(_GET, [report_id]).fetchone()
    return Report(*row) if row else None


def of_run(conn: Connection, run_id: str) -> Report | None:
    """Return the report of a run."""
    row = conn.execute(_OF_RUN, [run_id]).fetchone()
    return Report(*row) if row else None


def last_sync(conn: Connection, ispb: str) -> Report | None:
    """Return the report of the participant's last sync: of the last run that failed, compared or proved.

    Dry runs do not count, nor do runs that repeat a part of another and prove nothing.
    """
    row = conn.execute(_LAST_SYNC, [ispb]).fetchone()
    return Report(*row) if row else None


def last_verified_keys(conn: Connection, ispb: str) -> int | None:
    """Return how many keys DICT held when the participant was last proved to be in sync; None where it never was."""
    [(keys,)] = conn.execute(_LAST_VERIFIED_KEYS, [ispb]).fetchall()
    return None if keys is None else int(keys)


def list_reports(conn: Connection, ispb: str | None = None, limit: int = 100) -> list[Report]:
    """Return the latest reports of one participant or of all, latest first."""
    return [Report(*row) for row in conn.execute(latest_query(ispb), {"ispb": ispb, "limit": limit})]


def last_of_days(conn: Connection, ispbs: Sequence[str], first: date, last: date) -> list[Day]:
    """Return the last report of each of the participants' days from `first` to `last`; a day without one is not in it.

    Dry runs do not count: they prove nothing and repair nothing.
    """
    with conn.cursor(row_factory=class_row(Day)) as cursor:
        return cursor.execute(DAYS, {"ispbs": list(ispbs), "first": first, "last": last}).fetchall()


def by_key_type(report: Report) -> dict[str, dict[str, Any]]:
    """Return what a report says of each key type, in DICT's order; a database's JSON has none."""
    known = {str(name): report.key_types[name] for name in KeyType if name in report.key_types}
    return {**known, **report.key_types}


def latest_query(ispb: str | None) -> Composed:
    """Return the query of `list_reports`. One for each case: a condition that covers both uses no index."""
    return _LIST_OF if ispb else _LIST


def _column(value: object) -> object:
    return Jsonb(dict(value)) if isinstance(value, Mapping) else value
