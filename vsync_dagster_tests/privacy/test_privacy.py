"""Nothing personal outside of the participant's own tables, whatever a run goes through: every byte is searched.

The run is a real one: the application's role, Dagster's storage in PostgreSQL, compute logs kept, a broker. It meets
everything that makes PostgreSQL quote a row (the DETAIL of a broken rule) and errors whose own text is a key.
"""

import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from vsync_dagster.embedded.broker import embedded_broker
from vsync_dagster.embedded.postgres import embedded_postgres
from vsync_dagster.environment import DEFAULT_TOPIC, Environment
from vsync_dagster.launch import Launcher
from vsync_dagster.local_db import roles
from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.migrate import migrate
from vsync_dagster.local_db.reports import Report
from vsync_dagster.partitions import SyncPartition
from vsync_dagster.reconcile.entry import Entry
from vsync_dagster.reconcile.keys import KeyType
from vsync_dagster.resources import SyncSettings
from vsync_dagster.simulator.buckets import DOCUMENTED, Limit
from vsync_dagster.simulator.faults import FaultKind
from vsync_dagster.simulator.local_base import seed_local
from vsync_dagster.simulator.operations import Operation
from vsync_dagster.simulator.settings import Settings
from vsync_dagster.sync import repair
from vsync_dagster_tests.conftest import SERVER_SETTINGS
from vsync_dagster_tests.events.parts import read
from vsync_dagster_tests.logins import login_with
from vsync_dagster_tests.privacy.places import (
    Leaks,
    in_database,
    in_folder,
    leaks_in,
    named,
    watched_processes,
)
from vsync_dagster_tests.privacy.secrets import ACCOUNT, DIGITS, EMAIL, EVP_START, NAME, REQUEST_START, secret_entry
from vsync_dagster_tests.world import DAY, ISPB, LAG, World, running_world

TYPES = list(KeyType)
# Several syncs in a row need not wait for DICT's budgets.
UNMETERED = Settings(
    log_lag=timedelta(seconds=LAG),
    file_delay=timedelta(0),
    limits=dict.fromkeys(DOCUMENTED, Limit(1_000_000, 1_000_000, 60)),
)
PACKAGE = Path(repair.__file__).parents[1]


class Traces:
    """A world of secret entries, its syncs, and all that they leave behind."""

    def __init__(self, world: World, folder: Path, application: Database, broker: str) -> None:
        self.world = world
        self.folder = folder
        self.broker = broker
        self._application = application
        self._command_lines: set[str] = set()
        self._made = 0

    def entries(self, count: int, **changes: Any) -> list[Entry]:
        """Return new secret entries, of all key types in turn."""
        numbers = range(self._made, self._made + count)
        self._made += count
        return [replace(secret_entry(number, ISPB, TYPES[number % len(TYPES)]), **changes) for number in numbers]

    def sync(self, sync_type: str) -> Report:
        """Run the job as the application, on Dagster's instance in PostgreSQL."""
        variables = Environment({**self.world.variables.variables, "VSYNC_DATABASE_URL": self._application.url})
        settings = SyncSettings(sync_type=sync_type, log_lag_seconds=LAG)
        self.world.settle()
        with watched_processes() as seen:
            report = Launcher(variables).sync(SyncPartition(DAY, ISPB), settings)
        self._command_lines |= seen
        return report

    def leaks(self, logged: str, printed: str) -> Leaks:
        """Search everything; `logged` and `printed` are what this process said."""
        return leaks_in(self._places(logged, printed))

    def _places(self, logged: str, printed: str) -> Iterator[tuple[str, bytes]]:
        yield from in_database(self.world.database)
        for name in ("home", "dagster", "compute-logs", "temporary", "broker"):
            yield from in_folder(self.folder / name)
        yield from in_folder(self.folder / "server" / "postgres")
        yield from named("log", [logged])
        yield from named("stdout and stderr", [printed])
        yield from named("command lines", self._command_lines)
        published = read(self.broker, DEFAULT_TOPIC)
        assert published, "the topic was read"
        yield from named("topic", [f"{message.payload} {message.properties} {message.key}" for message in published])


@pytest.fixture
def traces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Traces]:
    """Secret entries in a server of their own, whose log is searched too."""
    with (
        embedded_postgres(tmp_path / "server", keep=False, settings=SERVER_SETTINGS) as url,
        embedded_broker(tmp_path) as broker,
        running_world(_migrated(url), tmp_path, monkeypatch, UNMETERED) as world,
        login_with(world.database, roles.APPLICATION) as application,
        _kept_temporary_files(tmp_path / "temporary", monkeypatch),
    ):
        monkeypatch.setenv("VSYNC_DATABASE_URL", application.url)
        monkeypatch.setenv("VSYNC_PULSAR_URL", broker)
        monkeypatch.setenv("DAGSTER_HOME", str(_dagster_home(tmp_path)))
        yield Traces(world, tmp_path, application, broker)


def _migrated(url: str) -> Database:
    database = Database(url)
    migrate(database)
    return database


def _dagster_home(folder: Path) -> Path:
    """Dagster's settings as shipped, but for the compute logs: here they are kept."""
    settings = yaml.safe_load((PACKAGE / "dagster.yaml").read_text())
    settings["compute_logs"] = {
        "module": "dagster._core.storage.local_compute_log_manager",
        "class": "LocalComputeLogManager",
        "config": {"base_dir": str(folder / "compute-logs")},
    }
    home = folder / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text(yaml.safe_dump(settings))
    return home


@contextmanager
def _kept_temporary_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make temporary files in a folder of their own, and keep them to be searched."""
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with monkeypatch.context() as kept:
        kept.setattr(tempfile.TemporaryDirectory, "_rmtree", lambda *_, **__: None)
        yield
    shutil.rmtree(folder)


def test_nothing_personal_is_left_outside_of_the_participants_tables(
    traces: Traces,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG)

    first = _drift_of_every_kind_and_refused_rows(traces)
    refused = _a_batch_that_the_database_refuses(traces)
    crashed = _an_error_whose_text_is_a_key(traces, monkeypatch)
    last = traces.sync("INCREMENTAL")

    assert (first.status, first.entries_created, first.entries_updated, first.entries_deleted) == ("PARTIAL", 10, 7, 5)
    assert first.fixes_failed == 10
    assert [report.status for report in (refused, crashed)] == ["FAILED", "FAILED"]
    assert "SQLSTATE 23514" in str(refused.error_message)
    assert "ValueError in" in str(crashed.error_message)
    assert (last.status, last.entries_created) == ("PARTIAL", 1)
    _everything_was_there_to_be_found(traces)
    printed = capfd.readouterr()
    assert traces.leaks(caplog.text, printed.out + printed.err) == {}

    _plant_a_log_line(traces, monkeypatch)
    printed = capfd.readouterr()
    found = traces.leaks(caplog.text, printed.out + printed.err)
    assert {"log", "dagster.event_logs"} <= found.keys(), "a log line with a key was put in"


def _drift_of_every_kind_and_refused_rows(traces: Traces) -> Report:
    world = traces.world
    held, ours, theirs = traces.entries(20), traces.entries(5), traces.entries(10)
    not_valid, forbidden = traces.entries(5, owner_name=f"{NAME}\x85"), traces.entries(5, owner_name=f"{NAME} Proibido")
    world.directory.bulk_create([*held, *theirs, *not_valid, *forbidden])
    with world.database.connect() as connection:
        seed_local(connection, [*held, *ours])
    world.sql("alter table entries add constraint forbidden check (owner_name !~ 'Proibido$')")
    for entry in held[:5]:
        world.directory.update_entry(entry.key, owner_name=f"{NAME} Mudado")
    tampered = [held[5].key, held[6].key]
    world.sql("update entries set owner_name = owner_name || ' Falso' where key = any(%s)", tampered)
    world.directory.faults.add(Operation.GET_ENTRY_BY_CID, FaultKind.GARBAGE)
    world.directory.faults.add(Operation.GET_ENTRY_BY_CID, FaultKind.STATUS, status=500)
    return traces.sync("FULL")


def _a_batch_that_the_database_refuses(traces: Traces) -> Report:
    world = traces.world
    world.sql("alter table manual_review_queue add constraint closed check (run_id is null) not valid")
    world.directory.delete_entry(world.key_of("EVP", 1))
    report = traces.sync("FULL")
    world.sql("alter table manual_review_queue drop constraint closed")
    return report


def _an_error_whose_text_is_a_key(traces: Traces, monkeypatch: pytest.MonkeyPatch) -> Report:
    def failing(entry: Entry, _: str) -> list[str]:
        raise ValueError(f"{entry.key} of {entry.owner_name}, {entry.request_id}")

    # Logged: a CID file of the day may be older, and is used again after a sync that FAILED.
    traces.world.directory.create_entry(*traces.entries(1))
    with monkeypatch.context() as broken:
        broken.setattr(repair, "refusals", failing)
        return traces.sync("INCREMENTAL")


def _plant_a_log_line(traces: Traces, monkeypatch: pytest.MonkeyPatch) -> None:
    def talking(entry: Entry, _: str) -> list[str]:
        logging.getLogger("vsync_dagster.planted").info("looking at %s", entry.key)
        return []

    traces.world.directory.create_entry(*traces.entries(1))
    with monkeypatch.context() as planted:
        planted.setattr(repair, "refusals", talking)
        traces.sync("INCREMENTAL")


def _everything_was_there_to_be_found(traces: Traces) -> None:
    """A search that looks at nothing finds nothing: what it looks at is there, and holds what was handled."""
    world = traces.world
    [(text,)] = world.sql("select string_agg(to_jsonb(e)::text, '') from entries e")
    assert all(secret in text for secret in (NAME, DIGITS, EMAIL, ACCOUNT, EVP_START, REQUEST_START))
    tables = {place for place, _ in in_database(world.database)}
    assert tables >= {
        *("public.looked_up_entries", "public.fix_details", "public.fixes", "public.outbox", "public.sync_reports"),
        *("dagster.event_logs", "dagster.runs", "dagster.snapshots"),
    }
    files = [str(path) for path in traces.folder.rglob("*") if path.is_file()]
    for part in (
        ".parquet",
        "manifest.json",
        "compute-logs",
        "downloads/cid-file-",
        "server/postgres/log",
        "broker/topics",
    ):
        assert [file for file in files if part in file], part
