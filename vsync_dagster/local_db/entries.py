"""Reads the participant's entries: by key, by id, and as one VSync a key type."""

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

_VSYNCS = """
select key_type, count(*),
    bit_xor(('x' || substr(hex, 1, 16))::bit(64)::bigint),
    bit_xor(('x' || substr(hex, 17, 16))::bit(64)::bigint),
    bit_xor(('x' || substr(hex, 33, 16))::bit(64)::bigint),
    bit_xor(('x' || substr(hex, 49, 16))::bit(64)::bigint)
from (select key_type, encode(cid, 'hex') as hex from entries where participant_ispb = %s and status = 'ACTIVE') e
group by key_type
"""


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


def vsyncs(conn: Connection, ispb: str) -> dict[str, KeyTypeSet]:
    """Return count and VSync of each key type that has ACTIVE rows, taken in one statement."""
    rows = conn.execute(_VSYNCS, [ispb])
    return {key_type: KeyTypeSet(count, _join(words)) for key_type, count, *words in rows}


def _join(words: Sequence[int]) -> bytes:
    return b"".join(word.to_bytes(8, signed=True) for word in words)


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
