"""A mistake leaves nothing behind, wherever a sync is started from: the launchpad, a backfill, a schedule."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from vsync_dagster.definitions import defs
from vsync_dagster.environment import Environment
from vsync_dagster.failure import NOT_STARTED
from vsync_dagster.jobs import SYNC_JOB
from vsync_dagster.local_db.database import Database
from vsync_dagster.partitions import SyncPartition
from vsync_dagster.preflight import check_day, check_startable, cron
from vsync_dagster.reconcile.errors import EnvironmentVariableError, NotStartedError
from vsync_dagster.resources import LocalDatabase
from vsync_dagster.schedules import daily_sync, weekly_full_sync
from vsync_dagster.sensors.ended_syncs import tell_of_failed
from vsync_dagster_tests.marks import marks
from vsync_dagster_tests.world import DAY, ISPB, World, running_world

MISTYPED = "12345687"
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def world(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A participant without keys, a DICT, and a Dagster instance that stores what it does."""
    with running_world(database, tmp_path, monkeypatch) as running, dg.instance_for_test() as instance:
        running.instance = instance
        yield running


def run_failed(
    world: World, partition: SyncPartition, assets: list[str] | None = None, **settings: object
) -> tuple[dg.DagsterRun, str]:
    """Run the job as a code location does, and hand the run to the sensor of failed runs; return it and its error."""
    result = defs.resolve_job_def(SYNC_JOB).execute_in_process(
        instance=world.instance,
        tags={"dagster/partition": partition.key, **partition.key.keys_by_dimension},
        asset_selection=[dg.AssetKey(name) for name in assets] if assets else None,
        run_config={"resources": {"settings": {"config": {**world.settings, **settings}}}},
        raise_on_error=False,
    )
    assert not result.success
    [failure] = [event for event in result.all_events if event.is_step_failure]
    error = failure.step_failure_data.error
    assert error is not None
    assert error.cause is not None
    run = world.instance.get_run_by_id(result.run_id)
    assert run is not None
    tell_of_failed(world.instance, run, world.database)
    return run, error.cause.message.removesuffix("\n")


def assert_refused(world: World, run: dg.DagsterRun, error: str, said: str) -> None:
    assert error.startswith("vsync_dagster.reconcile.errors.NotStartedError: ")
    assert said in error.splitlines()[0]
    assert marks(world) == []
    # Dagster's daemon reads these, and starts it again nowhere.
    assert run.tags[NOT_STARTED] == "true"
    assert run.tags["dagster/max_retries"] == "0"
    assert run.tags.get("dagster/will_retry") != "true"


@pytest.mark.parametrize("assets", [None, ["local_snapshot"], ["sync_report"]], ids=str)
def test_a_run_of_a_mistyped_ispb_leaves_nothing(world: World, assets: list[str] | None) -> None:
    """Dagster takes any text for a partition's key; the UI has a button for it."""
    run, error = run_failed(world, SyncPartition(DAY, MISTYPED), assets)
    assert_refused(world, run, error, f"participant {MISTYPED} is not registered")


@pytest.mark.parametrize(
    ("day", "said"),
    [(date(2999, 1, 1), "2999-01-01 has not begun"), (date(2020, 1, 1), "2020-01-01 is before 2026-01-01")],
)
def test_a_run_of_a_day_without_a_partition_leaves_nothing(world: World, day: date, said: str) -> None:
    run, error = run_failed(world, SyncPartition(day, ISPB))
    assert_refused(world, run, error, said)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("VSYNC_STORAGE_URL", "/dev/null/snapshots"),
        ("VSYNC_LEASE_SECONDS", "soon"),
        ("VSYNC_DAILY_CRON", "at two"),
        ("VSYNC_DICT_URL", "ftp://dict"),
        ("VSYNC_ENCRYPTION_KEYS", ""),
    ],
)
def test_a_run_with_what_cannot_be_used_leaves_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    run, error = run_failed(world, SyncPartition(DAY, ISPB))
    assert_refused(world, run, error, name)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"sync_type": "FUL"}, "sync_type is FULL"),
        ({"since": "noon"}, "since is"),
        ({"allow_mass_change": True}, "a reason"),
    ],
    ids=str,
)
def test_a_launchpad_with_a_typing_mistake_leaves_nothing(world: World, settings: dict[str, Any], said: str) -> None:
    run, error = run_failed(world, SyncPartition(DAY, ISPB), **settings)
    assert_refused(world, run, error, said)


def test_a_run_that_is_right_is_not_held_up(world: World) -> None:
    assert world.sync().status == "COMPLETED"
    assert "sync_reports" in marks(world)


@pytest.mark.parametrize("schedule", [daily_sync, weekly_full_sync], ids=lambda schedule: schedule.name)
@pytest.mark.parametrize(
    ("name", "value"),
    [("VSYNC_DAILY_CRON", "at two"), ("VSYNC_LEASE_WAIT_SECONDS", "soon"), ("VSYNC_FIRST_DAY", "2026-11-25")],
)
def test_a_tick_with_what_cannot_be_used_fails_and_asks_for_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, schedule: dg.ScheduleDefinition, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    context = dg.build_schedule_context(
        world.instance, NOW, resources={"local_database": LocalDatabase()}, repository_def=defs.get_repository_def()
    )
    with pytest.raises(dg.DagsterError) as raised:
        list(schedule.evaluate_tick(context).run_requests or [])
    assert name in str(raised.value.__cause__)
    assert marks(world) == []


def test_definitions_load_with_a_malformed_schedule_and_say_so(tmp_path: Path) -> None:
    """The alerts and clocks of the code location go on; every sync is refused."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("VSYNC_", "DAGSTER_"))}
    crons = "print([each.cron_schedule for each in defs.schedules])"
    done = subprocess.run(
        [sys.executable, "-c", f"from vsync_dagster.definitions import defs; {crons}"],
        env={**kept, "VSYNC_DAILY_CRON": "at two", "VSYNC_FIRST_DAY": "yesterday"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout == "['0 2 * * *', '0 4 * * *', '30 5 * * *']\n", done.stderr
    for name in ("VSYNC_DAILY_CRON", "VSYNC_FIRST_DAY"):
        assert f"{name} is malformed" in done.stderr


@pytest.mark.parametrize("value", ["at two", "0 2 * *", "0 2 * * * *", "61 2 * * *", "0 2 30 2 *"])
def test_what_is_no_cron_is_refused(value: str) -> None:
    with pytest.raises(EnvironmentVariableError, match="VSYNC_DAILY_CRON is malformed"):
        cron(Environment({"VSYNC_DAILY_CRON": value}), "VSYNC_DAILY_CRON")


def test_a_day_is_one_in_sao_paulo() -> None:
    late = datetime(2026, 11, 25, 2, 59, tzinfo=UTC)  # 23:59 of the day before
    with pytest.raises(NotStartedError, match="today is 2026-11-24 in São Paulo"):
        check_day(date(2026, 11, 25), date(2026, 1, 1), late)
    check_day(date(2026, 11, 25), date(2026, 1, 1), late + timedelta(minutes=1))


def test_checking_leaves_nothing_in_the_storage(world: World) -> None:
    check_startable(world.variables, SyncPartition(DAY, ISPB), datetime.now(UTC))
    assert marks(world) == []
