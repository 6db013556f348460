"""Streams (key type, entry id, CID) of a participant's ACTIVE rows out of PostgreSQL by binary COPY."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt
from psycopg import Copy
from psycopg.sql import SQL, Composable, Composed, Literal

from vsync_dagster.local_db.database import Connection
from vsync_dagster.local_db.errors import DatabaseError
from vsync_dagster.reconcile.cid import EntryAttributes, compute_cid

BLOCK_ROWS = 131_072
# These come with all their attributes, as Python objects.
CHECKED_BLOCK_ROWS = 16_384

# PostgreSQL's binary COPY (documentation of COPY, "Binary Format"): a header, then for each row the number of
# fields, then each field's length and bytes; all integers big-endian.
_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_TRAILER = b"\xff\xff"
_ROW = np.dtype(
    [
        ("fields", ">i2"),
        ("code_length", ">i4"),
        ("code", ">i2"),
        ("entry_id_length", ">i4"),
        ("entry_id", "u1", (16,)),
        ("cid_length", ">i4"),
        ("cid", "u1", (32,)),
    ]
)
_SHAPE = {"fields": 3, "code_length": 2, "entry_id_length": 16, "cid_length": 32}

_PLAIN = SQL("{code}, entry_id, cid")
_CHECKED = SQL(
    """
    {code}, uuid_send(entry_id), cid, uuid_send(request_id), key_type, key, owner_tax_id, owner_name,
    owner_trade_name, participant_ispb::text, branch, account_number, account_type
    """
)
_CHECKED_TYPES = ["int2", "bytea", "bytea", "bytea", *["text"] * 9]

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class CidBlock:
    """Up to `BLOCK_ROWS` rows: codes (n,) index the key types asked for; entry_ids are (n, 16), cids (n, 32) bytes.

    `tampered` (n,) tells which rows do not hash to their CID; None where nobody looked.
    """

    codes: npt.NDArray[np.int16]
    entry_ids: Bytes
    cids: Bytes
    tampered: npt.NDArray[np.bool_] | None = None

    def only(self, chosen: npt.NDArray[np.bool_]) -> "CidBlock":
        """Return the chosen rows."""
        return CidBlock(self.codes[chosen], self.entry_ids[chosen], self.cids[chosen])


def read(conn: Connection, ispb: str, key_types: Sequence[str]) -> Iterator[CidBlock]:
    """Yield all ACTIVE rows of a participant; `key_types` must name every key type that they carry.

    Raises:
        DatabaseError: a row of another key type, or bytes that are not the rows asked for.
    """
    with conn.cursor() as cursor, cursor.copy(_copy(_PLAIN, ispb, key_types)) as copy:
        for data in _whole_rows(copy):
            rows = np.frombuffer(data, _ROW)
            if any((rows[name] != value).any() for name, value in _SHAPE.items()):
                raise DatabaseError("the database sent rows of another shape than was asked for")
            yield CidBlock(rows["code"].astype(np.int16), rows["entry_id"], rows["cid"])


def _whole_rows(copy: Copy) -> Iterator[bytearray]:
    """Cut the stream into pieces of whole rows, without header and trailer."""
    messages = iter(copy)
    header, rest = _HEADER, bytearray()
    while more := _gather(messages):
        if not more.startswith(header):
            raise DatabaseError("the database sent another format than binary COPY")
        rest += more[len(header) :]
        header = b""
        whole = len(rest) - len(rest) % _ROW.itemsize
        if whole:
            yield rest[:whole]
        del rest[:whole]
    if rest != _TRAILER:
        raise DatabaseError("the database's rows end in the middle")


def _gather(messages: Iterator[bytes | bytearray | memoryview]) -> bytearray:
    # The server sends a message a row. Appending is twice as fast as joining so many small buffers.
    block = bytearray()
    for message in islice(messages, BLOCK_ROWS):
        block += message
    return block


def read_checked(conn: Connection, ispb: str, key_types: Sequence[str]) -> Iterator[CidBlock]:
    """Yield the same rows, each CID recomputed from the row's attributes.

    Raises:
        DatabaseError: a row of another key type.
    """
    with conn.cursor() as cursor, cursor.copy(_copy(_CHECKED, ispb, key_types)) as copy:
        copy.set_types(_CHECKED_TYPES)
        rows = copy.rows()
        while block := list(islice(rows, CHECKED_BLOCK_ROWS)):
            yield _checked_block(block)


def _checked_block(rows: list[tuple[Any, ...]]) -> CidBlock:
    codes = [row[0] for row in rows]
    if None in codes:
        raise DatabaseError("the database sent a row of a key type that it had not named")
    return CidBlock(
        np.array(codes, np.int16),
        np.frombuffer(b"".join(row[1] for row in rows), np.uint8).reshape(-1, 16),
        np.frombuffer(b"".join(row[2] for row in rows), np.uint8).reshape(-1, 32),
        np.array([_cid(row) != row[2] for row in rows]),
    )


def _cid(row: tuple[Any, ...]) -> bytes:
    return compute_cid(EntryAttributes(*row[4:]), UUID(bytes=row[3]))


def _copy(columns: SQL, ispb: str, key_types: Sequence[str]) -> Composed:
    # A key type as a number makes every row of a plain read equally long. A type that is not named gives null.
    cases: list[Composable] = [
        SQL("when {} then {}").format(Literal(name), Literal(code)) for code, name in enumerate(key_types)
    ]
    code = SQL("(case key_type {} end)::int2").format(SQL(" ").join(cases))
    return SQL(
        "copy (select {} from entries where participant_ispb = {} and status = 'ACTIVE') to stdout (format binary)"
    ).format(columns.format(code=code), Literal(ispb))
