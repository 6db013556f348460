"""Applies fixes to `entries`, a batch at a time, and keeps how each of them ended."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID

import psycopg
from psycopg.sql import Composed

from vsync_dagster.local_db import fix_details
from vsync_dagster.local_db import fix_statements as statements
from vsync_dagster.local_db.database import Connection
from vsync_dagster.local_db.encryption import Cipher
from vsync_dagster.local_db.entry_columns import entry_values
from vsync_dagster.local_db.errors import describe, is_transient
from vsync_dagster.local_db.fix_details import FixTexts
from vsync_dagster.reconcile.entry import Entry

CREATE = "CREATE"
UPDATE = "UPDATE"
REVIEW = "REVIEW"

# Batches at a time: while PostgreSQL works on one, the next is encoded here, and a second core of it has work. Only
# their last statements and commits, after the first event in the outbox, go one after the other.
AT_ONCE = 2

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
    compared, nothing was written. FAILED: the database's rules forbid it, or another transaction holds a lock on the
    row; `error` says which.
    """

    cid: bytes
    entry_id: UUID | None
    outcome: str
    error: str | None


@dataclass(frozen=True, slots=True)
class FixRecord:
    """A row of the table `fixes`. `kind` is CREATE, UPDATE or REVIEW; `outcome` may also be INVALID.

    `broken_rules` names the rules of DICT's schema that the entry which was applied breaks; the table has no column for
    them, the snapshot of the sync and its report have.
    """

    kind: str
    key_type: str
    entry_id: UUID | None
    cid: bytes
    outcome: str
    error: str | None
    broken_rules: tuple[str, ...] = ()


def apply_batch(conn: Connection, cipher: Cipher, run_id: str, ispb: str, batch: Sequence[Fix]) -> list[FixResult]:
    """Apply fixes in the caller's transaction and return how each ended, in the batch's order.

    Entries, CID events (by trigger), outbox events, `fixes` and, encrypted, what the rows were before and after are
    written together or not at all. Applying a batch again changes nothing and adds nothing. Updates go first: they
    may free a key that a creation needs. Outbox events go last: from then on, other batches of the participant wait.

    Raises:
        DatabaseUnavailableError, DatabaseError: (from `Database.connect`) roll back and, if transient, start over.
        ValueError: an UPDATE that does not say what was compared.
    """
    cids = [fix.target.cid() for fix in batch]
    _stage(conn, ispb, batch, cids)
    before: Texts = {}
    after: Texts = {}
    _apply_updates(conn, before, after)
    _apply_creations(conn, before, after)
    conn.execute(statements.MARK_LEFT_OVER)
    details = [FixTexts(ispb, batch[n].kind, cids[n], before.get(n), text) for n, text in after.items()]
    with ThreadPoolExecutor(1) as other:
        # Encrypts while PostgreSQL writes.
        sealed = other.submit(fix_details.sealed, cipher, run_id, details)
        conn.execute(statements.RECORD_FIXES, {"run_id": run_id, "ispb": ispb})
        fix_details.keep_sealed(conn, run_id, sealed.result())
    conn.execute(statements.WRITE_OUTBOX, {"run_id": run_id})
    kept = conn.execute(statements.RESULTS).fetchall()
    results = [FixResult(cid, *row) for cid, row in zip(cids, kept, strict=True)]
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


def _stage(conn: Connection, ispb: str, batch: Sequence[Fix], cids: Sequence[bytes]) -> None:
    seen: set[object] = set()
    conn.execute(statements.RAISE_WORK_MEM)
    conn.execute(statements.CREATE_BATCH)
    with conn.cursor() as cursor, cursor.copy(statements.COPY_BATCH) as copy:
        copy.set_types(statements.BATCH_TYPES)
        for number, (fix, cid) in enumerate(zip(batch, cids, strict=True)):
            copy.write_row(_row(number, fix, cid, _objection(fix, cid, ispb, seen)))
    conn.execute(statements.ANALYZE_BATCH)


def _row(number: int, fix: Fix, cid: bytes, objection: str | None) -> tuple[Any, ...]:
    compared: tuple[Any, ...] = (fix.entry_id, fix.compared_cid, fix.row_version)
    if fix.kind == CREATE:
        compared = (None, None, None)
    elif None in compared:
        raise ValueError("an UPDATE names its row, the CID it had and its row version")
    outcome = FAILED if objection else None
    return (number, fix.kind, *compared, cid, outcome, objection, *entry_values(fix.target))


def _objection(fix: Fix, cid: bytes, ispb: str, seen: set[object]) -> str | None:
    """Say why a fix cannot even be tried. What others of the batch are for is `seen`: bytes, text and UUIDs."""
    if fix.target.participant != ispb:
        return "DICT's entry is another participant's"
    names = (cid, fix.target.key, fix.entry_id) if fix.kind == UPDATE else (cid, fix.target.key)
    is_repeated = not seen.isdisjoint(names)
    seen.update(names)
    return "another fix of the same batch is for the same entry, key or CID" if is_repeated else None


Query = Composed | LiteralString
Texts = dict[int, str]
"""Rows of `entries` as JSON, under the place of their fix in the batch."""


def _apply_updates(conn: Connection, before: Texts, after: Texts) -> None:
    """Apply the updates that still can be; add their rows as they were and as they are."""
    before.update(_locking(conn, statements.JUDGE_UPDATES, statements.REFUSE_LOCKED_UPDATES))
    conn.execute(statements.REFUSE_UPDATES_TO_TAKEN_CIDS)
    conn.execute(statements.REFUSE_UPDATES_TO_TAKEN_KEYS)
    colliding = _write(conn, statements.UPDATE_ENTRIES, _waiting(conn, statements.WAITING_UPDATES), after)
    if colliding:
        _apply_colliding(conn, colliding, after)


def _apply_colliding(conn: Connection, colliding: dict[int, str], after: Texts) -> None:
    # Rows that swap keys or CIDs among themselves collide whatever the order. Taken out of the active set first,
    # they do not.
    try:
        with conn.transaction():
            conn.execute(statements.PARK_ENTRIES, {"numbers": list(colliding)})
            written = _texts(conn.execute(statements.UPDATE_ENTRIES, {"numbers": list(colliding)}))
    except psycopg.DatabaseError as error:
        _raise_if_transient(error)
        _mark_failed(conn, colliding)
    else:
        after.update(written)


def _apply_creations(conn: Connection, before: Texts, after: Texts) -> None:
    """Apply the creations that still can be; add the pending rows that they completed, and all rows as they are."""
    conn.execute(statements.JUDGE_CREATIONS)
    conn.execute(statements.REFUSE_CREATIONS_OF_TAKEN_CIDS)
    conn.execute(statements.CHOOSE_PENDING)
    before.update(_locking(conn, statements.PENDING_BEFORE, statements.REFUSE_LOCKED_CREATIONS))
    for statement, waiting in (
        (statements.PROMOTE_ENTRIES, statements.WAITING_PROMOTIONS),
        (statements.INSERT_ENTRIES, statements.WAITING_INSERTS),
    ):
        _mark_failed(conn, _write(conn, statement, _waiting(conn, waiting), after))


def _locking(conn: Connection, query: Query, refuse_locked: Query) -> Texts:
    """Return the rows of a query that locks them; fixes of rows that another transaction holds too long are FAILED."""
    try:
        with conn.transaction():
            return _texts(conn.execute(query))
    except psycopg.errors.LockNotAvailable:
        conn.execute(refuse_locked)
        return _texts(conn.execute(query))


def _texts(rows: psycopg.Cursor[tuple[Any, ...]]) -> Texts:
    return dict(rows.fetchall())


def _waiting(conn: Connection, query: Composed) -> list[int]:
    return [number for (number,) in conn.execute(query)]


def _write(conn: Connection, statement: Composed, numbers: list[int], after: Texts) -> dict[int, str]:
    """Write all at once or, where the database refuses one of them, one by one; return the colliding ones.

    Adds the rows as they were written. Fixes that break another rule than uniqueness are marked FAILED here.
    """
    if not numbers or _refusal(conn, statement, numbers, after) is None:
        return {}
    collisions: dict[int, str] = {}
    failures: dict[int, str] = {}
    for number in numbers:
        error = _refusal(conn, statement, [number], after)
        if error is not None:
            kept = collisions if isinstance(error, psycopg.errors.UniqueViolation) else failures
            kept[number] = str(describe(error))
    _mark_failed(conn, failures)
    return collisions


def _refusal(conn: Connection, statement: Composed, numbers: list[int], after: Texts) -> psycopg.DatabaseError | None:
    """Run a statement for some fixes; where it is refused, undo it and return the error."""
    try:
        with conn.transaction():
            written = _texts(conn.execute(statement, {"numbers": numbers}))
    except psycopg.errors.LockNotAvailable as error:
        conn.execute(statements.WAIT_LITTLE)
        return error
    except psycopg.DatabaseError as error:
        _raise_if_transient(error)
        return error
    after.update(written)
    return None


def _raise_if_transient(error: psycopg.DatabaseError) -> None:
    if is_transient(error):
        raise error


def _mark_failed(conn: Connection, errors: dict[int, str]) -> None:
    with conn.cursor() as cursor:
        cursor.executemany(statements.MARK_FAILED, [(text, number) for number, text in errors.items()])
