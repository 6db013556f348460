"""Reads the participant's entries, by key and by id."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from itertools import islice
from typing import NamedTuple, TypeVar
from uuid import UUID

from psycopg.rows import class_row
from psycopg.sql import SQL, Composed

from vsync_dagster.local_db.database import Connection
from vsync_dagster.reconcile.entry import Entry

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

# In the order of EntryAttributes' fields, after the id and the request id.
_ATTRIBUTES = """
select entry_id, request_id, key_type, key, owner_tax_id, owner_name, owner_trade_name, participant_ispb::text, branch,
    account_number, account_type
from entries where participant_ispb = %s and entry_id = any(%s)
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


def differing_in_request_id_alone(conn: Connection, ispb: str, theirs: Mapping[UUID, Entry]) -> set[UUID]:
    """Return those of the participant's rows that have all attributes of DICT's entry, and another request id.

    Args:
        theirs: DICT's entries, by the id of our row with the same key.
    """
    found: set[UUID] = set()
    for chunk in chunks(theirs, _CHUNK):
        for entry_id, request_id, *attributes in conn.execute(_ATTRIBUTES, [ispb, chunk]):
            entry = theirs[entry_id]
            # A missing attribute and an empty one are the same in a CID.
            ours = [value or "" for value in attributes]
            if request_id != entry.request_id and ours == [value or "" for value in astuple(entry.attributes())]:
                found.add(entry_id)
    return found


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
