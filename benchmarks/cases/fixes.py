"""Fixes in bulk, half of them creations and half updates: guard, CID events, outbox and encrypted details included."""

import atexit
from dataclasses import replace
from functools import partial
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg

from benchmarks.data import ISPB
from benchmarks.measure import Place
from vsync_dagster.local_db import entries, fixes
from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.local_db.encryption import Cipher
from vsync_dagster.local_db.entry_columns import ENTRY_COLUMNS, entry_values
from vsync_dagster.local_db.fixes import Fix, FixResult
from vsync_dagster.local_db.migrate import migrate
from vsync_dagster.simulator.local_base import seed_local
from vsync_dagster.simulator.population import generate

CASE = "fixes, a hundredth of the keys (100,000 at 10 M)"
OURS = "applied"
AGAINST = {"bare_rows": ("`COPY` and `INSERT … ON CONFLICT` of bare rows, without CID events", 0.5)}
_BATCH = 5_000  # as `batch_size` has it
_COLUMNS = ", ".join((*ENTRY_COLUMNS, "cid", "status"))
_batch: list[Fix] = []
_database: list[Database] = []


def _prepare(place: Place) -> None:
    """Make a database of this process's own, and the fixes."""
    name = f"bench_{uuid4().hex}"
    with psycopg.connect(place.url, autocommit=True) as server:
        server.execute(f"create database {name}".encode())
    atexit.register(_drop, place.url, name)
    database = Database(urlsplit(place.url)._replace(path=f"/{name}").geturl())
    migrate(database)
    known = list(generate(ISPB, max(place.keys // 100, 2), 1))
    half = len(known) // 2
    with database.connect(bulk=True) as connection:
        seed_local(connection, known[:half])
        connection.execute("analyze entries")
    with database.connect(bulk=True) as connection:
        rows = {row.key: row for row in entries.local_entries_for_keys(connection, ISPB, [e.key for e in known[:half]])}
    for entry in known[:half]:
        row = rows[entry.key]
        target = replace(entry, account_number=f"7{entry.account_number[:19]}")
        _batch.append(Fix(fixes.UPDATE, row.entry_id, row.cid, row.row_version, target))
    _batch.extend(Fix(fixes.CREATE, None, None, None, entry) for entry in known[half:])
    _database.append(database)


prepare_applied = prepare_bare_rows = _prepare


def _drop(server_url: str, name: str) -> None:
    with psycopg.connect(server_url, autocommit=True) as server:
        server.execute(f"drop database {name} with (force)".encode())


def applied(_: Place) -> None:
    """Ours."""
    [database], cipher = _database, Cipher([bytes(32)])
    transactions = (partial(_apply, cipher, _batch[start : start + _BATCH]) for start in range(0, len(_batch), _BATCH))
    for results in database.retrying_each(transactions, fixes.AT_ONCE):
        if any(result.outcome != fixes.APPLIED for result in results):
            raise AssertionError("a fix was not applied")


def _apply(cipher: Cipher, batch: list[Fix], connection: Connection) -> list[FixResult]:
    return fixes.apply_batch(connection, cipher, "run", ISPB, batch)


def bare_rows(_: Place) -> None:
    """The floor: no look at what is there, no log, no evidence."""
    [database] = _database
    with database.connect(bulk=True) as connection:
        connection.execute("alter table entries disable trigger user")
        connection.execute("create temporary table rows (like entries including defaults)")
        with connection.cursor() as cursor, cursor.copy(f"copy rows ({_COLUMNS}) from stdin".encode()) as copy:
            for fix in _batch:
                copy.write_row((*entry_values(fix.target), fix.target.cid(), "ACTIVE"))
        changed = ", ".join(f"{name} = excluded.{name}" for name in (*ENTRY_COLUMNS, "cid"))
        connection.execute(
            f"insert into entries ({_COLUMNS}) select {_COLUMNS} from rows"
            f" on conflict (key) where status = 'ACTIVE' do update set {changed}".encode()
        )
