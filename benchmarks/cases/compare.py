"""A participant's table in PostgreSQL against a CID file: read both, tell them apart by key type, keep what differs."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Any

import polars as pl
import psycopg

from benchmarks.cases import vsyncs
from benchmarks.data import ISPB, KEY_TYPE, Cids, random_cids, write_cid_file
from benchmarks.measure import Place
from vsync_dagster.assets import our_cids
from vsync_dagster.dict_api.cid_file import CidFile
from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.snapshot import read_snapshot
from vsync_dagster.partitions import SyncPartition
from vsync_dagster.reconcile.difference import compare
from vsync_dagster.store import SnapshotStore
from vsync_dagster.sync.local_sets import OurEntries, SnapshotCids

CASE = "a participant's table in PostgreSQL against its CID file, 20,000 CIDs differing each way"
OURS = "vsync"
AGAINST = {
    "read_once": ("reading each once: `COPY` to /dev/null, and the file", 1 / 1.5),
    "duckdb_script": ("a DuckDB script", 1.25),
    "polars_script": ("a Polars script", 2.0),
    "loaded": ("loading the file into PostgreSQL and joining there", 5.0),
    "python_dict": ("a Python dict", 8.0),
}
_CIDS = f"select cid from entries where participant_ispb = '{ISPB}' and status = 'ACTIVE'"


def _differing(place: Place) -> int:
    return min(20_000, place.keys // 10)


def _path(place: Place) -> Path:
    return Path(place.folder) / f"{place.keys}-of-{ISPB}.cids"


def _prepare(place: Place) -> None:
    if not _path(place).exists():
        write_cid_file(_path(place), _dict_cids(place))


def _dict_cids(place: Place) -> Iterator[Cids]:
    """Yield the table's CIDs but for some, and as many others."""
    left_out = _differing(place)
    for block in _snapshot_cids(place):
        yield block[left_out:]
        left_out = max(0, left_out - len(block))
    yield from random_cids(_differing(place), 2)


def _snapshot_cids(place: Place) -> Iterator[Cids]:
    with tempfile.TemporaryDirectory(dir=place.folder) as folder:
        yield from _stored(place, folder)[0].of(KEY_TYPE).blocks()


def _stored(place: Place, folder: str) -> tuple[SnapshotCids, OurEntries]:
    """Keep a snapshot of the table, as `local_snapshot` does."""
    database, store, partition = Database(place.url), SnapshotStore(folder), SyncPartition(date(2026, 11, 24), ISPB)
    with store.write("local_snapshot", partition, "run") as snapshot:
        read = read_snapshot(database, ISPB, write_block=our_cids.writer(snapshot))
        snapshot.facts = place
    cids = our_cids.read(store.read("local_snapshot", partition))
    return cids, OurEntries(database, ISPB, read.pg_snapshot)


def _prepare_peer(place: Place) -> None:
    """Import what only others need here, so that it weighs neither on their time nor on our memory."""
    _prepare(place)
    for module in ("duckdb", "pyarrow", "adbc_driver_postgresql.dbapi"):
        import_module(module)


prepare_vsync = prepare_read_once = prepare_loaded = _prepare
prepare_duckdb_script = prepare_polars_script = prepare_python_dict = _prepare_peer


def vsync(place: Place) -> None:
    """Ours: the snapshot kept, both sides compared, and the rows of what only we hold."""
    with tempfile.TemporaryDirectory(dir=place.folder) as folder:
        cids, entries = _stored(place, folder)
        found = compare(cids.of(KEY_TYPE), CidFile(_path(place)), place.keys).found
        rows = entries.rows(found.only_ours, ())
    _check(place, len(rows), len(found.only_theirs))


def read_once(place: Place) -> None:
    """The floor."""
    vsyncs.copy(place)
    with _path(place).open("rb", buffering=0) as file:
        buffer = bytearray(1 << 18)
        while file.readinto(buffer):
            pass


@contextmanager
def _fetched(place: Place) -> Iterator[Any]:
    """Yield a reader of Arrow batches of the table's CIDs: ADBC is the fastest way into Arrow."""
    dbapi = import_module("adbc_driver_postgresql.dbapi")
    with dbapi.connect(place.url) as connection, connection.cursor() as cursor:
        cursor.execute(_CIDS)
        yield cursor.fetch_record_batch()


def duckdb_script(place: Place) -> None:
    """DuckDB, which reads both as streams."""
    connection = import_module("duckdb").connect()
    with _fetched(place) as ours:
        connection.register("fetched", ours)
        connection.execute("create table ours as select cid from fetched")
    connection.execute(
        f"create table theirs as select unhex(line) as cid from read_csv('{_path(place)}',"
        " header = false, columns = {'line': 'varchar'})"
    )
    counts = [
        connection.sql(f"select count(*) from {one} anti join {other} using (cid)").fetchall()[0][0]
        for one, other in (("ours", "theirs"), ("theirs", "ours"))
    ]
    _check(place, *counts)


def polars_script(place: Place) -> None:
    """Polars."""
    with _fetched(place) as batches:
        ours = pl.DataFrame(batches.read_all())
    theirs = pl.read_csv(_path(place), has_header=False, new_columns=["cid"]).select(pl.col("cid").str.decode("hex"))
    _check(place, len(ours.join(theirs, on="cid", how="anti")), len(theirs.join(ours, on="cid", how="anti")))


def loaded(place: Place) -> None:
    """PostgreSQL, the file in a table of its own."""
    with psycopg.connect(place.url) as connection, connection.cursor() as cursor:
        connection.execute("set work_mem = '512MB'")
        connection.execute("create temporary table lines (line text)")
        with cursor.copy("copy lines from stdin") as copy, _path(place).open("rb") as file:
            while block := file.read(1 << 18):
                copy.write(block)
        connection.execute("create temporary table theirs as select decode(line, 'hex') as cid from lines")
        connection.execute("analyze theirs")
        ours = f"({_CIDS})"
        counts = [
            cursor.execute(
                f"select count(*) from {one} a where not exists (select from {other} b where b.cid = a.cid)".encode()
            ).fetchall()[0][0]
            for one, other in ((ours, "theirs"), ("theirs", ours))
        ]
    _check(place, *counts)


def python_dict(place: Place) -> None:
    """A dict of our CIDs, the file line by line."""
    ours: dict[bytes, bool] = {}
    with _fetched(place) as batches:
        for batch in batches:
            ours.update(dict.fromkeys(batch["cid"].to_pylist(), True))
    only_theirs = 0
    with _path(place).open() as file:
        for line in file:
            if ours.pop(bytes.fromhex(line), None) is None:
                only_theirs += 1
    _check(place, len(ours), only_theirs)


def _check(place: Place, only_ours: int, only_theirs: int) -> None:
    if (only_ours, only_theirs) != (_differing(place), _differing(place)):
        raise AssertionError(f"{only_ours} and {only_theirs} differ, not {_differing(place)}")
