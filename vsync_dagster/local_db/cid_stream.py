"""Streams a participant's rows out of any table or view by binary COPY: a message a row."""

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
from psycopg import Copy
from psycopg.sql import SQL, Composed, Literal

from vsync_dagster.local_db.cid_rows import CidBlock, active_rows
from vsync_dagster.local_db.database import Connection
from vsync_dagster.local_db.errors import DatabaseError

BLOCK_ROWS = 131_072

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
        ("tampered_length", ">i4"),
        ("tampered", "?"),
    ]
)
_SHAPE = {"fields": 4, "code_length": 2, "entry_id_length": 16, "cid_length": 32, "tampered_length": 1}


def read(conn: Connection, ispb: str, *, integrity: bool) -> Iterator[CidBlock]:
    """Yield all ACTIVE rows of a participant in blocks of up to `BLOCK_ROWS`, in the snapshot of the transaction.

    Raises:
        DatabaseError: the rows are not those counted in the same snapshot, or not of the shape asked for.
    """
    counted = _counts(conn, ispb)
    if None in counted:
        raise DatabaseError("the database holds rows without a key type")
    read: dict[str, int] = dict.fromkeys(counted, 0)
    for block in _copied(conn, ispb, [*counted], integrity):
        read[block.key_type] += len(block.cids)
        yield block
    if read != counted:
        raise DatabaseError("the rows read are not the rows counted in the same snapshot; nothing of it is used")


def _counts(conn: Connection, ispb: str) -> dict[str, int]:
    rows = conn.execute(
        "select key_type, count(*) from entries where participant_ispb = %s and status = 'ACTIVE' group by key_type",
        [ispb],
    )
    return dict(rows.fetchall())


def _copied(conn: Connection, ispb: str, key_types: Sequence[str], integrity: bool) -> Iterator[CidBlock]:
    with conn.cursor() as cursor, cursor.copy(_copy(ispb, key_types, integrity)) as copy:
        for data in _whole_rows(copy):
            rows = np.frombuffer(data, _ROW)
            if any((rows[name] != value).any() for name, value in _SHAPE.items()):
                raise DatabaseError("the database sent rows of another shape than was asked for")
            for code, key_type in enumerate(key_types):
                some = rows[rows["code"] == code]
                if len(some):
                    tampered = some[some["tampered"]]
                    yield CidBlock(key_type, some["cid"], tampered["entry_id"], tampered["cid"])


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


def _copy(ispb: str, key_types: Sequence[str], integrity: bool) -> Composed:
    # A key type as a number makes every row equally long. A type that is not named gives null, which is shorter.
    code = SQL("(array_position({}::text[], key_type) - 1)::int2").format(Literal(list(key_types)))
    return SQL("copy (select {}, entry_id, cid, tampered from ({}) as rows) to stdout (format binary)").format(
        code, active_rows(ispb, integrity=integrity)
    )
