"""Entries and rows for the tests of this room."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

from psycopg.sql import SQL

from vsync_dagster.local_db.database import Connection
from vsync_dagster.local_db.encryption import Cipher
from vsync_dagster.local_db.entry_columns import ENTRY_COLUMNS, column_list, entry_values
from vsync_dagster.reconcile.entry import Entry

ISPB = "00416968"
OTHER_ISPB = "12345678"
RUN = "run-1"
CIPHER = Cipher([bytes(range(32))])
_NAMESPACE = UUID("6f7c1a52-9a3e-4c9b-8f43-0f1a5d1b7a10")

_INSERT = SQL("insert into entries ({}, cid, status) values ({}, %s, %s) returning entry_id").format(
    column_list(), SQL(", ").join([SQL("%s")] * len(ENTRY_COLUMNS))
)


def make_entry(number: int, **changes: str | UUID | datetime | None) -> Entry:
    """Return one of a series of different entries."""
    entry = Entry(
        key_type="CPF",
        key=f"{number:011}",
        participant=ISPB,
        branch="0001",
        account_number=f"{number:010}",
        account_type="CACC",
        account_opened_at=datetime(2020, 1, 2, 3, tzinfo=UTC),
        owner_type="NATURAL_PERSON",
        owner_tax_id=f"{number:011}",
        owner_name="João da Silva",
        owner_trade_name=None,
        created_at=datetime(2021, 5, 6, 7, 8, 9, 123_000, tzinfo=UTC),
        key_owned_since=datetime(2021, 5, 6, 7, 8, 9, 123_000, tzinfo=UTC),
        request_id=uuid5(_NAMESPACE, str(number)),
    )
    return replace(entry, **changes)  # type: ignore[arg-type]


def insert(conn: Connection, entry: Entry, *, status: str = "ACTIVE", cid: bytes | None = None) -> UUID:
    """Insert an entry, with its own CID or another, and return its id."""
    row = conn.execute(_INSERT, [*entry_values(entry), cid or entry.cid(), status]).fetchone()
    assert row is not None
    entry_id = row[0]
    assert isinstance(entry_id, UUID)
    return entry_id


def insert_all(conn: Connection, entries: Iterable[Entry]) -> list[UUID]:
    return [insert(conn, entry) for entry in entries]


def rows(conn: Connection, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    return conn.execute(query.encode(), parameters).fetchall()


def value(conn: Connection, query: str, parameters: Sequence[Any] = ()) -> Any:
    [[only]] = rows(conn, query, parameters)
    return only


def afresh(conn: Connection, query: str) -> Any:
    """Return a query's only value, in a transaction that begins now."""
    conn.rollback()
    return value(conn, query)


def stored(conn: Connection, entry_id: UUID) -> Entry:
    """Return a row's attributes as an entry."""
    query = SQL("select {} from entries where entry_id = %s").format(column_list())
    row = conn.execute(query, [entry_id]).fetchone()
    assert row is not None
    return Entry(*row)
