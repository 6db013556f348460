"""Sync reports: one a run, never changed."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any
from uuid import UUID

from psycopg.sql import SQL, Composed, Identifier, Placeholder
from psycopg.types.json import Jsonb

from vsync_dagster.local_db.database import Connection


@dataclass(frozen=True, slots=True)
class Report:
    """What one run found, did and proved; the fields are the columns of `sync_reports`.

    `entries_deleted` counts entries put up for review: nothing is deleted. `sync_timestamp` is the start, in UTC;
    `key_types` holds what is said of each key type, as JSON. `pending` counts the differences that wait for DICT's
    budgets, `plan` is what they were planned with (as JSON), and from `resume_at` on another sync can go on.
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
    entries_synced: int
    entries_created: int
    entries_updated: int
    entries_deleted: int
    discrepancies: int
    missing_local: int
    outdated_local: int
    missing_bacen: int
    in_flight: int
    fixes_failed: int
    verified: bool
    pending: int
    resume_at: datetime | None
    plan: Mapping[str, Any] | None
    key_types: Mapping[str, Any]


_NAMES = tuple(field.name for field in fields(Report))
_COLUMNS = SQL(", ").join(map(Identifier, _NAMES))
_INSERT = SQL("insert into sync_reports ({}) values ({}) on conflict (run_id) do nothing").format(
    _COLUMNS, SQL(", ").join([Placeholder()] * len(_NAMES))
)


_SELECT = SQL("select {} from sync_reports").format(_COLUMNS)
_GET = SQL("{} where id = %s").format(_SELECT)
_OF_RUN = SQL("{} where run_id = %s").format(_SELECT)
_LATEST = SQL("order by sync_timestamp desc, id limit %(limit)s")
_LIST = SQL("{} {}").format(_SELECT, _LATEST)
_LIST_OF = SQL("{} where participant_ispb = %(ispb)s {}").format(_SELECT, _LATEST)


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


def list_reports(conn: Connection, ispb: str | None = None, limit: int = 100) -> list[Report]:
    """Return the latest reports of one participant or of all, latest first."""
    return [Report(*row) for row in conn.execute(latest_query(ispb), {"ispb": ispb, "limit": limit})]


def latest_query(ispb: str | None) -> Composed:
    """Return the query of `list_reports`. One for each case: a condition that covers both uses no index."""
    return _LIST_OF if ispb else _LIST


def _column(value: object) -> object:
    return Jsonb(dict(value)) if isinstance(value, Mapping) else value
