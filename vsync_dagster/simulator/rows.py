"""Entries to rows of the state file and back."""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from vsync_dagster.reconcile.entry import Entry
from vsync_dagster.simulator.times import from_ms, to_ms

_COLUMNS = (
    "key, branch, account_number, account_type, account_opened_at, owner_type, owner_tax_id, owner_name,"
    " owner_trade_name, created_at, key_owned_since, request_id"
)
_SELECT = (
    f"SELECT e.id, e.cid, e.open_claim_at, s.participant, s.key_type, {_COLUMNS}"  # noqa: S608
    " FROM entries e JOIN cid_sets s ON s.id = e.set_id"
)
_INSERT = f"INSERT INTO entries (set_id, cid, added_at, open_claim_at, {_COLUMNS}) VALUES ({', '.join('?' * 16)})"  # noqa: S608


@dataclass(frozen=True, slots=True, repr=False)
class HeldEntry:
    """An active entry as DICT holds it. Personal data: has no repr.

    `row_id` names its row in the state file; `open_claim_at` is set while somebody claims the key.
    """

    row_id: int
    cid: bytes
    entry: Entry
    open_claim_at: datetime | None


def select_held(connection: sqlite3.Connection, where: str, *parameters: object) -> Iterable[HeldEntry]:
    """Yield the active entries that a condition on `e` (entries) and `s` (cid_sets) picks, in its order."""
    cursor = connection.execute(f"{_SELECT} WHERE e.removed_at IS NULL AND {where}", parameters)
    return map(_to_held, cursor)


def insert(connection: sqlite3.Connection, rows: Iterable[tuple[object, ...]]) -> None:
    """Insert rows made by `to_row`."""
    connection.executemany(_INSERT, rows)


def to_row(
    entry: Entry, set_id: int, cid: bytes, added_at: int, open_claim_at: datetime | None = None
) -> tuple[object, ...]:
    """Return the row of an entry that became active at `added_at`, in milliseconds."""
    return (
        set_id,
        cid,
        added_at,
        None if open_claim_at is None else to_ms(open_claim_at),
        entry.key,
        entry.branch,
        entry.account_number,
        entry.account_type,
        to_ms(entry.account_opened_at),
        entry.owner_type,
        entry.owner_tax_id,
        entry.owner_name,
        entry.owner_trade_name,
        to_ms(entry.created_at),
        to_ms(entry.key_owned_since),
        entry.request_id.bytes,
    )


def _to_held(row: tuple[Any, ...]) -> HeldEntry:
    row_id, cid, open_claim_at, participant, key_type, key, branch, number, account_type, opened_at, *rest = row
    owner_type, tax_id, name, trade_name, created_at, owned_since, request_id = rest
    entry = Entry(
        key_type=key_type,
        key=key,
        participant=participant,
        branch=branch,
        account_number=number,
        account_type=account_type,
        account_opened_at=from_ms(opened_at),
        owner_type=owner_type,
        owner_tax_id=tax_id,
        owner_name=name,
        owner_trade_name=trade_name,
        created_at=from_ms(created_at),
        key_owned_since=from_ms(owned_since),
        request_id=UUID(bytes=request_id),
    )
    return HeldEntry(row_id, cid, entry, None if open_claim_at is None else from_ms(open_claim_at))
