"""Reads what an auditor asks for: a participant's evidence of some days. No table holds a key, a name or a tax id."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl

from vsync_dagster.local_db.database import Connection

_TIME = pl.Datetime("us", "UTC")


@dataclass(frozen=True, slots=True)
class Period:
    """Whose evidence of which days, both included. `since` and `until` are the days' first and last moment, in UTC."""

    ispb: str
    first_day: date
    last_day: date
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class _Table:
    """A query, and the columns of its answer."""

    query: str
    columns: Mapping[str, pl.DataType | type[pl.DataType]]


_REPORTS = _Table(
    """
    select sync_day, sync_timestamp, sync_type, status, verified, dry_run, duration_ms, entries_synced, discrepancies,
        missing_local, outdated_local, missing_bacen, in_flight, pending, entries_created, entries_updated,
        entries_deleted, fixes_failed, error_message, id::text, run_id, chain_number, encode(chain_hash, 'hex'),
        compared_by, compared_at, repaired_by, repaired_at
    from sync_reports where participant_ispb = %(ispb)s and sync_day between %(first_day)s and %(last_day)s
    order by sync_timestamp, id
    """,
    {
        "sync_day": pl.Date,
        "sync_timestamp": _TIME,
        "sync_type": pl.String,
        "status": pl.String,
        "verified": pl.Boolean,
        "dry_run": pl.Boolean,
        "duration_ms": pl.Int64,
        "entries_synced": pl.Int64,
        "discrepancies": pl.Int64,
        "missing_local": pl.Int64,
        "outdated_local": pl.Int64,
        "missing_bacen": pl.Int64,
        "in_flight": pl.Int64,
        "pending": pl.Int64,
        "entries_created": pl.Int64,
        "entries_updated": pl.Int64,
        "put_up_for_review": pl.Int64,
        "fixes_failed": pl.Int64,
        "error_message": pl.String,
        "report_id": pl.String,
        "run_id": pl.String,
        "chain_number": pl.Int64,
        "chain_hash": pl.String,
        "compared_by": pl.String,
        "compared_at": _TIME,
        "repaired_by": pl.String,
        "repaired_at": _TIME,
    },
)
_VERIFICATIONS = _Table(
    """
    select r.sync_day, r.sync_timestamp, t.key, (t.value ->> 'entries')::bigint, t.value ->> 'before',
        t.value ->> 'source', t.value ->> 'after', t.value ->> 'proof', (t.value ->> 'under_review')::bigint,
        t.value ->> 'computed_from', (t.value ->> 'read_whole_at')::timestamptz, r.id::text, r.dry_run
    from sync_reports r, jsonb_each(r.key_types) as t
    where r.participant_ispb = %(ispb)s and r.sync_day between %(first_day)s and %(last_day)s
    order by r.sync_timestamp, r.id, t.key
    """,
    {
        "sync_day": pl.Date,
        "sync_timestamp": _TIME,
        "key_type": pl.String,
        "entries": pl.Int64,
        "before": pl.String,
        "learnt_from": pl.String,
        "after": pl.String,
        "proof": pl.String,
        "under_review": pl.Int64,
        "computed_from": pl.String,
        "read_whole_at": _TIME,
        "report_id": pl.String,
        "dry_run": pl.Boolean,
    },
)
_FIXES = _Table(
    """
    select created_at, kind, key_type, outcome, error, entry_id::text, encode(cid, 'hex'), run_id
    from fixes
    where run_id in (
        select run_id from sync_reports
        where participant_ispb = %(ispb)s and sync_day between %(first_day)s and %(last_day)s
        union all
        -- A run that was killed, and has no report yet.
        select run_id from sync_lease_history h
        where participant_ispb = %(ispb)s and since between %(since)s and %(until)s
            and not exists (select from sync_reports r where r.run_id = h.run_id)
    )
    order by id
    """,
    {
        "created_at": _TIME,
        "kind": pl.String,
        "key_type": pl.String,
        "outcome": pl.String,
        "error": pl.String,
        "entry_id": pl.String,
        "cid": pl.String,
        "run_id": pl.String,
    },
)
# Items that were open at some time of the period.
_REVIEW_ITEMS = _Table(
    """
    select q.created_at, q.key_type, q.status, told.decided_at, told.closed_at,
        extract(epoch from told.decided_at - q.created_at) / 3600,
        extract(epoch from coalesce(told.closed_at, %(now)s) - q.created_at) / 3600,
        q.reason, q.entry_id::text, encode(q.cid, 'hex'), q.id::text
    from manual_review_queue q
    cross join lateral (
        select min(done_at) filter (where step in ('DECIDED', 'PROPOSED')) as decided_at,
            max(done_at) filter (where step = 'CLOSED') as closed_at
        from review_trail s where s.item_id = q.id
    ) as told
    where q.participant_ispb = %(ispb)s and q.created_at <= %(until)s
        and (q.status <> 'CLOSED' or told.closed_at >= %(since)s)
    order by q.created_at, q.id
    """,
    {
        "put_up_at": _TIME,
        "key_type": pl.String,
        "status": pl.String,
        "decided_at": _TIME,
        "closed_at": _TIME,
        "decided_after_hours": pl.Float64,
        "open_hours": pl.Float64,
        "reason": pl.String,
        "entry_id": pl.String,
        "cid": pl.String,
        "item_id": pl.String,
    },
)
_REVIEW_STEPS = _Table(
    """
    select done_at, step, decision, reason, ask_again_on, assignee, done_by, item_id::text, chain_number,
        encode(chain_hash, 'hex')
    from review_trail
    where participant_ispb = %(ispb)s and done_at between %(since)s and %(until)s order by chain_number
    """,
    {
        "done_at": _TIME,
        "step": pl.String,
        "decision": pl.String,
        "reason": pl.String,
        "ask_again_on": pl.Date,
        "assignee": pl.String,
        "done_by": pl.String,
        "item_id": pl.String,
        "chain_number": pl.Int64,
        "chain_hash": pl.String,
    },
)
_CALLS = _Table(
    """
    select called_at, operation, key_type, http_status, result, correlation_id, response_time, reference, duration_ms,
        run_id
    from dict_calls where participant_ispb = %(ispb)s and called_at between %(since)s and %(until)s
    order by called_at, id
    """,
    {
        "called_at": _TIME,
        "operation": pl.String,
        "key_type": pl.String,
        "http_status": pl.Int64,
        "result": pl.String,
        "correlation_id": pl.String,
        "response_time": _TIME,
        "reference": pl.String,
        "duration_ms": pl.Int64,
        "run_id": pl.String,
    },
)
_TABLES = {
    "reports": _REPORTS,
    "verifications": _VERIFICATIONS,
    "fixes": _FIXES,
    "review_items": _REVIEW_ITEMS,
    "review_steps": _REVIEW_STEPS,
    "calls": _CALLS,
}


def read(conn: Connection, period: Period, now: datetime) -> dict[str, pl.DataFrame]:
    """Return the evidence by table, in the order in which it came about. `now` ends the age of what is open."""
    parameters = {
        "ispb": period.ispb,
        "first_day": period.first_day,
        "last_day": period.last_day,
        "since": period.since,
        "until": period.until,
        "now": now,
    }
    return {name: _frame(conn, table, parameters) for name, table in _TABLES.items()}


def _frame(conn: Connection, table: _Table, parameters: Mapping[str, object]) -> pl.DataFrame:
    rows = conn.execute(table.query.encode(), parameters).fetchall()
    return pl.DataFrame(rows, schema=dict(table.columns), orient="row")
