"""Reads the participant's entries, by key and by id."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple, TypeVar
from uuid import UUID

from psycopg.rows import class_row
from psycopg.sql import SQL, Composed

from vsync_dagster.local_db.database import Connection

Item = TypeVar("Item")

# One statement for a million keys would run into the time limit of a statement.
_CHUNK = 10_000

_SELECT = SQL(
    """
    select entry_id, key, key_type, cid, status, xmin::text::bigint as row_version
    from entries where participant_ispb = %s and status <> 'DELETED' and {} = any(%s)
    order by entry_id
    """
)
_BY_KEY = _SELECT.format(SQL("key"))
_BY_ID = _SELECT.format(SQL("entry_id"))


class KeyTypeSet(NamedTuple):
    """How many CIDs a participant holds of one key type, and their XOR (32 bytes)."""

    entries: int
    vsync: bytes


@dataclass(frozen=True, slots=True, repr=False)
class LocalEntry:
    """A row of `entries` that is ACTIVE or PENDING. Holds a key: has no repr.

    `row_version` is the transaction that wrote the row as it is: any later change of the row gives another.
    """

    entry_id: UUID
    key: str
    key_type: str
    cid: bytes
    status: str
    row_version: int


def local_entries_for_keys(conn: Connection, ispb: str, keys: Iterable[str]) -> list[LocalEntry]:
    """Return the participant's rows that hold one of the keys; a key has one ACTIVE row at most."""
    return _select(conn, _BY_KEY, ispb, list(keys))


def local_entries_by_id(conn: Connection, ispb: str, entry_ids: Iterable[UUID]) -> list[LocalEntry]:
    """Return those of the rows that exist and belong to the participant."""
    return _select(conn, _BY_ID, ispb, list(entry_ids))


def _select(conn: Connection, query: Composed, ispb: str, values: Sequence[object]) -> list[LocalEntry]:
    found: list[LocalEntry] = []
    with conn.cursor(row_factory=class_row(LocalEntry)) as cursor:
        for chunk in chunks(values, _CHUNK):
            found.extend(cursor.execute(query, [ispb, chunk]))
    return found


def chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Split into lists of `size`, the last one shorter."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk
