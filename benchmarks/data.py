"""The data that all cases share: a participant's table in PostgreSQL, and CID files."""

import hmac
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from uuid import UUID

import numpy as np
import numpy.typing as npt
import psycopg

from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.migrate import migrate
from vsync_dagster.reconcile.entry import Entry

ISPB = "12345678"
KEY_TYPE = "EVP"
_BLOCK = 100_000
# A person's name has no digits.
_LETTERS = str.maketrans("0123456789", "abcdefghij")
_MOMENT = datetime(2021, 5, 6, 7, 8, 9, tzinfo=UTC)
_COPY = """
copy entries (key, key_type, participant_ispb, branch, account_number, account_type, account_opened_at, owner_type,
    owner_tax_id, owner_name, owner_trade_name, request_id, cid, status, created_at, key_owned_since) from stdin
"""
# The indexes are made after the load, as anybody loads ten million rows.
_INDEXES = "select indexname, indexdef from pg_indexes where tablename = 'entries' and indexname <> 'entries_pkey'"

Cids = npt.NDArray[np.uint8]


def make_table(url: str, keys: int) -> None:
    """Fill `entries` with ACTIVE rows of one key type, whose CIDs are those of their attributes."""
    migrate(Database(url))
    with psycopg.connect(url, autocommit=True) as connection:
        indexes = connection.execute(_INDEXES).fetchall()
        for name, _ in indexes:
            connection.execute(f"drop index {name}".encode())
        connection.execute("alter table entries disable trigger user")
        _load(url, keys)
        connection.execute("alter table entries enable always trigger record_inserted_cids")
        for trigger in ("updated", "deleted", "truncated"):
            connection.execute(f"alter table entries enable always trigger record_{trigger}_cids".encode())
        connection.execute("set maintenance_work_mem = '512MB'")
        for _, definition in indexes:
            connection.execute(definition.encode())
        connection.execute("vacuum (analyze) entries")
        connection.execute("checkpoint")


def _load(url: str, keys: int) -> None:
    starts = range(0, keys, _BLOCK)
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as workers:
        for future in [workers.submit(_load_block, url, start, min(start + _BLOCK, keys)) for start in starts]:
            future.result()


def _load_block(url: str, start: int, stop: int) -> None:
    with psycopg.connect(url) as connection, connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        copy.write("".join(_line(number) for number in range(start, stop)))


def entry(number: int) -> Entry:
    """Return the entry that the table's row of that number holds."""
    key = hmac.digest(b"key", number.to_bytes(8), "md5").hex()
    return Entry(
        key_type=KEY_TYPE,
        key=f"{key[:8]}-{key[8:12]}-{key[12:16]}-{key[16:20]}-{key[20:]}",
        participant=ISPB,
        branch="0001",
        account_number=f"{number:010}",
        account_type="CACC",
        account_opened_at=_MOMENT,
        owner_type="NATURAL_PERSON",
        owner_tax_id=f"{number * 7919 % 10**11:011}",
        owner_name=f"João da Conceição {number % 9973}".translate(_LETTERS),
        owner_trade_name=None,
        created_at=_MOMENT,
        key_owned_since=_MOMENT,
        request_id=UUID(bytes=hmac.digest(b"request", number.to_bytes(8), "md5")),
    )


def _line(number: int) -> str:
    row = entry(number)
    return (
        f"{row.key}\t{KEY_TYPE}\t{ISPB}\t{row.branch}\t{row.account_number}\tCACC\t{_MOMENT}\tNATURAL_PERSON\t"
        f"{row.owner_tax_id}\t{row.owner_name}\t\\N\t{row.request_id}\t\\\\x{row.cid().hex()}\tACTIVE\t"
        f"{_MOMENT}\t{_MOMENT}\n"
    )


def random_cids(count: int, seed: int) -> Iterator[Cids]:
    """Yield blocks of CIDs, the same for the same seed."""
    random = np.random.default_rng(seed)
    for start in range(0, count, _BLOCK):
        rows = min(_BLOCK, count - start)
        yield np.frombuffer(random.bytes(rows * 32), np.uint8).reshape(-1, 32)


def write_cid_file(path: Path, blocks: Iterator[Cids]) -> None:
    """Write a CID set file: 64 hexadecimal digits and LF a line."""
    with path.open("wb") as file:
        for block in blocks:
            digits = block.tobytes().hex("\n", -32)
            file.write(digits.encode() + b"\n")


def shifted_cids(count: int, differing: int) -> tuple[Cids, Cids]:
    """Return two sets of which each has `differing` CIDs that the other lacks, the second in another order."""
    random = np.random.default_rng(1)
    cids = np.concatenate(list(random_cids(count + differing, 1)))
    theirs = cids[differing:]
    return cids[:count], theirs[random.permutation(count)]
