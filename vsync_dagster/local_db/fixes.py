"""Applies fixes to `entries`, a batch at a time, and keeps how each of them ended."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from psycopg.sql import Composed

from vsync_dagster.local_db import fix_details
from vsync_dagster.local_db import fix_statements as statements
from vsync_dagster.local_db.database import Connection
from vsync_dagster.local_db.encryption import Cipher
from vsync_dagster.local_db.entry_columns import entry_values
from vsync_dagster.local_db.errors import describe, is_transient
from vsync_dagster.local_db.fix_details import FixDetail
from vsync_dagster.reconcile.entry import Entry

CREATE = "CREATE"
UPDATE = "UPDATE"
REVIEW = "REVIEW"

APPLIED = "APPLIED"
ALREADY = "ALREADY"
MOVED = "MOVED"
INVALID = "INVALID"
FAILED = "FAILED"


@dataclass(frozen=True, slots=True, repr=False)
class Fix:
    """Make the local base hold `target`, DICT's entry. Personal data: has no repr.

    An UPDATE names the row and what it was when it was compared: `compared_cid`, and `row_version` as
    `local_db.entries` reads it. A CREATE leaves those three None.
    """

    kind: str
    entry_id: UUID | None
    compared_cid: bytes | None
    row_version: int | None
    target: Entry


@dataclass(frozen=True, slots=True)
class FixResult:
    """How one fix ended. `cid` is the target's, `entry_id` the row's, where there is one.

    APPLIED: done now. ALREADY: the row was as DICT has it, nothing was written. MOVED: the row is no longer what was
    compared, nothing was written. FAILED: the database's rules forbid it, `error` says which.
    """

    cid: bytes
    entry_id: UUID | None
    outcome: str
    error: str | None


@dataclass(frozen=True, slots=True)
class FixRecord:
    """A row of the table `fixes`. `kind` is CREATE, UPDATE or REVIEW; `outcome` may also be INVALID."""

    kind: str
    key_type: str
    entry_id: UUID | None
    cid: bytes
    outcome: str
    error: str | None


def apply_batch(conn: Connection, cipher: Cipher, run_id: str, ispb: str, batch: Sequence[Fix]) -> list[FixResult]:
    """Apply fixes in the caller's transaction and return how each ended, in the batch's order.

    Entries, CID events (by trigger), outbox events, `fixes` and, encrypted, what the rows were before and after are
    written together or not at all. Applying a batch again changes nothing and adds nothing. Updates go first: they
    may free a key that a creation needs.

    Raises:
        DatabaseUnavailableError, DatabaseError: (from `Database.connect`) roll back and, if transient, start over.
        ValueError: an UPDATE that does not say what was compared.
    """
    _stage(conn, ispb, batch)
    before = _apply_updates(conn) | _apply_creations(conn)
    conn.execute(statements.MARK_LEFT_OVER)
    for statement in (statements.RECORD_FIXES, statements.WRITE_OUTBOX):
        conn.execute(statement, {"run_id": run_id, "ispb": ispb})
    fix_details.keep(conn, cipher, run_id, _details(conn, ispb, before))
    results = [FixResult(*row) for row in conn.execute(statements.RESULTS)]
    conn.execute(statements.DROP_BATCH)
    return results


def record(conn: Connection, run_id: str, ispb: str, records: Iterable[FixRecord]) -> None:
    """Keep outcomes that came about elsewhere (entries that were not valid, review items), ALREADY aside.

    A run that tries a fix again replaces what it kept of it, but never an APPLIED.
    """
    rows = [
        (run_id, ispb, item.kind, item.key_type, item.entry_id, item.cid, item.outcome, item.error)
        for item in records
        if item.outcome != ALREADY
    ]
    with conn.cursor() as cursor:
        cursor.executemany(statements.RECORD_FIX, rows)


def outcomes(conn: Connection, run_id: str, ispb: str) -> dict[tuple[str, str], int]:
    """Return how many fixes a run has kept, by kind and outcome."""
    rows = conn.execute(statements.COUNT_OUTCOMES, [run_id, ispb])
    return {(kind, outcome): count for kind, outcome, count in rows}


def _stage(conn: Connection, ispb: str, batch: Sequence[Fix]) -> None:
    seen: Counter[object] = Counter()
    rows = [_row(number, fix, _objection(fix, ispb, seen)) for number, fix in enumerate(batch)]
    conn.execute(statements.CREATE_BATCH)
    with conn.cursor() as cursor, cursor.copy(statements.COPY_BATCH) as copy:
        for row in rows:
            copy.write_row(row)
    conn.execute(statements.ANALYZE_BATCH)


def _row(number: int, fix: Fix, objection: str | None) -> tuple[Any, ...]:
    compared: tuple[Any, ...] = (fix.entry_id, fix.compared_cid, fix.row_version)
    if fix.kind == CREATE:
        compared = (None, None, None)
    elif None in compared:
        raise ValueError("an UPDATE names its row, the CID it had and its row version")
    outcome = FAILED if objection else None
    return (number, fix.kind, *compared, fix.target.cid(), outcome, objection, *entry_values(fix.target))


def _objection(fix: Fix, ispb: str, seen: Counter[object]) -> str | None:
    """Say why a fix cannot even be tried."""
    if fix.target.participant != ispb:
        return "DICT's entry is another participant's"
    names: list[tuple[str, object]] = [("cid", fix.target.cid()), ("key", fix.target.key)]
    if fix.kind == UPDATE:
        names.append(("entry", fix.entry_id))
    seen.update(names)
    if any(seen[name] > 1 for name in names):
        return "another fix of the same batch is for the same entry, key or CID"
    return None


Rows = dict[int, dict[str, Any]]
"""Rows of `entries` by column, under the place of their fix in the batch."""


def _apply_updates(conn: Connection) -> Rows:
    """Apply the updates that still can be, and return their rows as they were."""
    conn.execute(statements.JUDGE_UPDATES)
    conn.execute(statements.REFUSE_UPDATES_TO_TAKEN_CIDS)
    conn.execute(statements.REFUSE_UPDATES_TO_TAKEN_KEYS)
    before = _rows_before(conn, UPDATE)
    colliding = _write(conn, statements.UPDATE_ENTRIES, _waiting(conn, statements.WAITING_UPDATES))
    if colliding:
        _apply_colliding(conn, colliding)
    return before


def _apply_colliding(conn: Connection, colliding: dict[int, str]) -> None:
    # Rows that swap keys or CIDs among themselves collide whatever the order. Taken out of the active set first,
    # they do not.
    try:
        with conn.transaction():
            conn.execute(statements.PARK_ENTRIES, {"numbers": list(colliding)})
            conn.execute(statements.UPDATE_ENTRIES, {"numbers": list(colliding)})
    except psycopg.DatabaseError as error:
        _raise_if_transient(error)
        _mark_failed(conn, colliding)


def _apply_creations(conn: Connection) -> Rows:
    """Apply the creations that still can be, and return the pending rows that they completed as those were."""
    conn.execute(statements.JUDGE_CREATIONS)
    conn.execute(statements.REFUSE_CREATIONS_OF_TAKEN_CIDS)
    conn.execute(statements.CHOOSE_PENDING)
    before = _rows_before(conn, CREATE)
    for statement, waiting in (
        (statements.PROMOTE_ENTRIES, statements.WAITING_PROMOTIONS),
        (statements.INSERT_ENTRIES, statements.WAITING_INSERTS),
    ):
        _mark_failed(conn, _write(conn, statement, _waiting(conn, waiting)))
    return before


def _rows_before(conn: Connection, kind: str) -> Rows:
    return dict(conn.execute(statements.ROWS_BEFORE, {"kind": kind}).fetchall())


def _details(conn: Connection, ispb: str, before: Rows) -> list[FixDetail]:
    rows = conn.execute(statements.ROWS_AFTER)
    return [FixDetail(ispb, kind, cid, before.get(number), after) for number, kind, cid, after in rows]


def _waiting(conn: Connection, query: Composed) -> list[int]:
    return [number for (number,) in conn.execute(query)]


def _write(conn: Connection, statement: Composed, numbers: list[int]) -> dict[int, str]:
    """Write all at once or, where the database refuses one of them, one by one; return the colliding ones.

    Fixes that break another rule than uniqueness are marked FAILED here.
    """
    if not numbers or _refusal(conn, statement, numbers) is None:
        return {}
    collisions: dict[int, str] = {}
    failures: dict[int, str] = {}
    for number in numbers:
        error = _refusal(conn, statement, [number])
        if error is not None:
            kept = collisions if isinstance(error, psycopg.errors.UniqueViolation) else failures
            kept[number] = str(describe(error))
    _mark_failed(conn, failures)
    return collisions


def _refusal(conn: Connection, statement: Composed, numbers: list[int]) -> psycopg.DatabaseError | None:
    """Run a statement for some fixes; where it is refused, undo it and return the error."""
    try:
        with conn.transaction():
            conn.execute(statement, {"numbers": numbers})
    except psycopg.DatabaseError as error:
        _raise_if_transient(error)
        return error
    return None


def _raise_if_transient(error: psycopg.DatabaseError) -> None:
    if is_transient(error):
        raise error


def _mark_failed(conn: Connection, errors: dict[int, str]) -> None:
    with conn.cursor() as cursor:
        cursor.executemany(statements.MARK_FAILED, [(text, number) for number, text in errors.items()])
