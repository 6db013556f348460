"""The whole sync as a login that has the role of the application, and no other right."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from vsync_dagster.embedded.broker import embedded_broker
from vsync_dagster.launch import Launcher
from vsync_dagster.local_db import roles
from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.reports import Report
from vsync_dagster.partitions import SyncPartition
from vsync_dagster.resources import SyncSettings
from vsync_dagster.simulator.drift import drift
from vsync_dagster.simulator.faults import FaultKind
from vsync_dagster.simulator.operations import Operation
from vsync_dagster_tests.logins import login_with
from vsync_dagster_tests.world import DAY, ISPB, LAG, World


@pytest.fixture
def application(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """The world's database as the application connects to it; Dagster's storage and a broker are real too."""
    with login_with(world.database, roles.APPLICATION) as login, embedded_broker(tmp_path) as broker:
        monkeypatch.setenv("VSYNC_DATABASE_URL", login.url)
        monkeypatch.setenv("VSYNC_PULSAR_URL", broker)
        monkeypatch.setenv("DAGSTER_HOME", "")  # set by the launcher, and put back afterwards
        yield login


def sync(world: World, application: Database, sync_type: str) -> Report:
    """Run the job on Dagster's own instance, as `vsync sync` does."""
    variables = type(world.variables)({**world.variables.variables, "VSYNC_DATABASE_URL": application.url})
    settings = SyncSettings(sync_type=sync_type, log_lag_seconds=LAG)
    return Launcher(variables).sync(SyncPartition(DAY, ISPB), settings)


def test_a_sync_needs_no_right_beyond_the_applications(world: World, application: Database) -> None:
    world.populate(50)
    with world.database.connect() as connection:
        drift(world.directory, connection, ISPB, creates=3, updates=3, deletes=2, local_tampers=2)
    world.settle()

    full = sync(world, application, "FULL")
    drift(world.directory, None, ISPB, creates=2, updates=2, deletes=1, seed=2)
    world.settle()
    incremental = sync(world, application, "INCREMENTAL")

    assert (full.status, full.entries_created, full.entries_updated, full.entries_deleted) == ("COMPLETED", 3, 5, 2)
    assert (incremental.status, incremental.verified) == ("COMPLETED", True)
    assert world.sql("select count(*) from outbox where published_at is null") == [(0,)], "the relay"
    owner = "select count(*) from pg_tables where schemaname = 'public' and tableowner <> current_user"
    assert world.sql(owner) == [(0,)]
    assert world.sql("select count(*) > 0 from dagster.runs") == [(True,)], "Dagster's storage"


def test_a_failed_report_needs_none_either(world: World, application: Database) -> None:
    world.directory.faults.add(Operation.CREATE_SYNC_VERIFICATION, FaultKind.STATUS, times=9, status=403)

    assert sync(world, application, "FULL").status == "FAILED"
    assert world.sql("select status from sync_reports") == [("FAILED",)]
