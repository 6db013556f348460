"""Encrypting rows again with the newest key, while syncs go on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.sql import SQL, Composed, Identifier, Placeholder

from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.local_db.encryption import ENCRYPTED_TABLES, Cipher, Encrypted, EncryptedTable

BATCH_ROWS = 500

_NEXT = SQL(
    """
    select {identity}, key_id, ciphertext from {table}
    where key_id <> %s {after} order by {identity} limit %s
    """
)
# Guarded by what was read: a row that was written anew meanwhile is left to the next rotation.
_REPLACE = SQL("update {table} set key_id = %s, ciphertext = %s where {same} and key_id = %s and ciphertext = %s")


@dataclass(frozen=True, slots=True)
class Rotated:
    """How many rows of a table are now encrypted with the newest key that were not, and how many could not be.

    `unknown_keys` are the ids of the keys of those that could not.
    """

    table: str
    rows: int
    left: int
    unknown_keys: frozenset[str]


def rotate(database: Database, cipher: Cipher, batch_rows: int = BATCH_ROWS) -> Iterator[Rotated]:
    """Encrypt again, table by table and batch by batch, each batch committed: broken off, it goes on where it was.

    Raises:
        AlteredCiphertextError: a row does not decrypt; those before it are done.
        DatabaseUnavailableError, DatabaseError: as `Database.retrying`.
    """
    for table in ENCRYPTED_TABLES:
        yield _rotate(database, cipher, table, batch_rows)


def _rotate(database: Database, cipher: Cipher, table: EncryptedTable, batch_rows: int) -> Rotated:
    done, left, unknown = 0, 0, set[str]()
    last: tuple[Any, ...] = ()

    def batch(conn: Connection) -> tuple[list[tuple[Any, ...]], int]:
        rows = conn.execute(_next(table, last), [cipher.newest, *last, batch_rows]).fetchall()
        readable = [row for row in rows if row[-2] in cipher.key_ids]
        with conn.cursor() as cursor:
            cursor.executemany(_replace(table), [_replacement(cipher, table, row) for row in readable])
            return rows, max(cursor.rowcount, 0)

    while True:
        rows, replaced = database.retrying(batch)
        if not rows:
            return Rotated(table.name, done, left, frozenset(unknown))
        foreign = [row[-2] for row in rows if row[-2] not in cipher.key_ids]
        done, left, last = done + replaced, left + len(foreign), rows[-1][:-2]
        unknown.update(foreign)


def _replacement(cipher: Cipher, table: EncryptedTable, row: Sequence[Any]) -> tuple[Any, ...]:
    *identity, key_id, ciphertext = row
    plaintext = cipher.decrypt(table, identity, Encrypted(key_id, ciphertext))
    again = cipher.encrypt(table, identity, plaintext)
    return (again.key_id, again.ciphertext, *identity, key_id, ciphertext)


def _next(table: EncryptedTable, last: Sequence[Any]) -> Composed:
    identity = SQL(", ").join(map(Identifier, table.identity))
    places = SQL(", ").join([Placeholder()] * len(last))
    after = SQL("and ({}) > ({})").format(identity, places) if last else SQL("")
    return _NEXT.format(identity=identity, table=Identifier(table.name), after=after)


def _replace(table: EncryptedTable) -> Composed:
    same = SQL(" and ").join(SQL("{} = %s").format(Identifier(name)) for name in table.identity)
    return _REPLACE.format(table=Identifier(table.name), same=same)
