"""A participant with a database of its own, and a DICT in another process, for the cases that sync."""

import atexit
import base64
import os
import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from urllib.parse import urlsplit

import dagster as dg
import psycopg

from benchmarks.data import ISPB, entry, make_table
from benchmarks.measure import Place
from vsync_dagster.environment import Environment
from vsync_dagster.launch import Launcher
from vsync_dagster.local_db import participants
from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.migrate import migrate
from vsync_dagster.partitions import SyncPartition
from vsync_dagster.reconcile.entry import Entry
from vsync_dagster.resources import SyncSettings
from vsync_dagster.simulator import schema
from vsync_dagster.simulator.buckets import DOCUMENTED, Limit
from vsync_dagster.simulator.certificates import Certificates
from vsync_dagster.simulator.local_base import seed_local
from vsync_dagster.simulator.population import generate
from vsync_dagster.simulator.server import running_simulator
from vsync_dagster.simulator.settings import Settings
from vsync_dagster.simulator.state import DictState

DAY = date(2026, 11, 24)
_PREFIX = "bench_world_"
_KEY = base64.urlsafe_b64encode(bytes(32)).decode()
# A case is about what we do with an answer, not about waiting for leave to ask.
_LIFTED = {name: Limit(10**8, 10**8, 1) for name in DOCUMENTED}
_open = ExitStack()
atexit.register(_open.close)


@dataclass(frozen=True, slots=True)
class World:
    """Both sides of a participant of so many keys; the simulator runs until this process ends."""

    keys: int
    database: Database
    directory: DictState
    variables: Environment
    ispb: str = ISPB

    def change(self, keys: int) -> list[Entry]:
        """Change keys at DICT, as if we had missed it; return the entries as they are now."""
        numbers = random.Random(time.time_ns()).sample(range(self.keys), keys)
        account = f"{time.time_ns()}"
        changed = [self.directory.update_entry(entry(number).key, account_number=account)[1] for number in numbers]
        found = [self.directory.entry_by_cid(cid) for cid in changed]
        return [held.entry for held in found if held is not None]

    def sync(self, sync_type: str) -> float:
        """Sync through Dagster in this process; return the seconds that its five steps took.

        Raises:
            AssertionError: DICT did not prove the result.
        """
        with dg.DagsterInstance.ephemeral() as instance:
            launcher = Launcher(self.variables, lambda _: nullcontext(instance))
            report = launcher.sync(SyncPartition(DAY, ISPB), SyncSettings(sync_type=sync_type, log_lag_seconds=0))
            steps = instance.get_run_step_stats(report.run_id)
        if not report.verified:
            raise AssertionError(f"the sync ended as {report.status}: {report.error_message}")
        return sum((step.end_time or 0) - (step.start_time or 0) for step in steps)


def world(place: Place, keys: int) -> World:
    """Return the participant of so many keys: made by the first that asks, and synced in full once."""

    has_table = keys == place.keys and _holds(place.url, keys)

    def fill(database: Database, directory: DictState) -> None:
        if not has_table:
            make_table(database.url, keys)
        with database.connect() as connection:
            participants.add(connection, ISPB)
        directory.participants.add(ISPB)
        with _indexed_afterwards(directory):
            directory.bulk_create(map(entry, range(keys)))

    return _world(place, str(keys), keys, fill, copied=has_table)


def provider(place: Place, ispbs: Sequence[str], keys: int) -> World:
    """Return participants of so many keys each, in sync; the same certificate serves them all, as a provider's does."""

    def fill(database: Database, directory: DictState) -> None:
        migrate(database)
        for ispb in ispbs:
            directory.participants.add(ispb, via=None if ispb == ISPB else ISPB)
            entries = list(generate(ispb, keys, 1))
            directory.bulk_create(entries)
            with database.connect(bulk=True) as connection:
                participants.add(connection, ispb, via=None if ispb == ISPB else ISPB)
                seed_local(connection, entries)

    return _world(place, f"provider_{len(ispbs)}", keys, fill)


def _holds(url: str, keys: int) -> bool:
    """Tell whether the server's own database has the table of that many keys, which other cases read."""
    with psycopg.connect(url) as server:
        if server.execute("select to_regclass('entries')").fetchone() == (None,):
            return False
        is_ours = "select count(*), bool_or(cid = %s) from entries"
        return server.execute(is_ours, [entry(keys - 1).cid()]).fetchone() == (keys, True)


@contextmanager
def _indexed_afterwards(directory: DictState) -> Iterator[None]:
    """Drop the indexes of DICT's entries meanwhile: with them, ten million random keys write 80 GB."""
    found = (re.match(r"CREATE (?:UNIQUE )?INDEX (entries_\w+)", statement) for statement in schema.STATEMENTS)
    indexes = {match[1]: match.string for match in found if match}
    with directory.file.writing() as connection:
        for name in indexes:
            connection.execute(f"DROP INDEX {name}")
    yield
    with directory.file.writing() as connection:
        for statement in indexes.values():
            connection.execute(statement)


def _world(
    place: Place, name: str, keys: int, fill: Callable[[Database, DictState], None], *, copied: bool = False
) -> World:
    folder = Path(place.folder) / f"world-{name}"
    database = Database(urlsplit(place.url)._replace(path=f"/{_PREFIX}{name}").geturl())
    is_new = not folder.exists()
    folder.mkdir(exist_ok=True)
    url = _open.enter_context(simulator(folder))
    directory = _open.enter_context(_state(folder))
    variables = {
        "VSYNC_HOME": str(folder / "home"),
        "VSYNC_DATABASE_URL": database.url,
        "VSYNC_DICT_URL": url,
        **Certificates(folder).variables(ISPB),
        "VSYNC_ENCRYPTION_KEYS": _KEY,
    }
    os.environ.update(variables)
    made = World(keys, database, directory, Environment(variables))
    if is_new:
        _create(place.url, name, copied=copied)
        fill(database, directory)
        made.sync("FULL")
    return made


def forget(url: str) -> None:
    """Drop the databases that the cases made."""
    with psycopg.connect(url, autocommit=True) as server:
        for (name,) in server.execute("select datname from pg_database where starts_with(datname, %s)", [_PREFIX]):
            server.execute(f"drop database {name} with (force)".encode())


@contextmanager
def simulator(folder: Path) -> Iterator[str]:
    """Run a DICT, without limits, in a process of its own, and yield its URL."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(folder, theirs), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        process.kill()  # whoever runs the benchmark may have it ignore gentler signals
        process.join()


def _serve(folder: Path, told: Connection) -> None:
    # DICT compresses on a machine of its own; here it would take a core from what is measured.
    settings = Settings(log_lag=timedelta(0), file_delay=timedelta(0), compressed_files=False, limits=_LIFTED)
    with _state(folder) as state, running_simulator(state, settings, Certificates(folder)) as url:
        told.send(url)
        told.recv()


def _state(folder: Path) -> DictState:
    return DictState(folder / "dict.sqlite", now=lambda: datetime.now(UTC))


def _create(url: str, name: str, *, copied: bool) -> None:
    template = f"template {urlsplit(url).path[1:]} strategy file_copy" if copied else ""
    # From another database: one that somebody is in cannot be copied.
    with psycopg.connect(urlsplit(url)._replace(path="/postgres").geturl(), autocommit=True) as server:
        server.execute(f"create database {_PREFIX}{name} {template}".encode())
