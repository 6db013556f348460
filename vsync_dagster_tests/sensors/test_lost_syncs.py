"""Runs that Dagster takes for working, as their leases tell: at work, lost, and not begun."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from vsync_dagster.definitions import defs
from vsync_dagster.jobs import SYNC_JOB
from vsync_dagster.local_db import alerts, leases
from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.leases import Fence
from vsync_dagster.partitions import SyncPartition, open_partitions_for
from vsync_dagster.resources import LocalDatabase
from vsync_dagster.sensors.lost_syncs import TICKS_WITHOUT_A_LEASE, lost_syncs
from vsync_dagster_tests.world import DAY, ISPB, World, running_world

LONG = 3_600.0


@pytest.fixture
def world(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A participant without keys, and a DICT."""
    with running_world(database, tmp_path, monkeypatch) as running:
        yield running


def begin(world: World) -> str:
    """Have Dagster take a run for one that works; return its id."""
    open_partitions_for(world.instance, [ISPB])
    run = world.instance.create_run_for_job(
        defs.resolve_job_def(SYNC_JOB), tags={"dagster/partition": SyncPartition(DAY, ISPB).key}
    )
    started = dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, run.job_name)
    world.instance.report_dagster_event(started, run.run_id)
    return run.run_id


def lease(world: World, run_id: str, seconds: float) -> None:
    """Take the participant's lease, or renew it: for no seconds, it has expired at once."""
    with world.database.connect() as connection:
        assert leases.acquire(connection, Fence(ISPB, run_id), "a-host", seconds)


def tick(world: World, times: int, cursor: str | None = None) -> str | None:
    """Evaluate the sensor as the daemon does, so many times; return its cursor."""
    for _ in range(times):
        context = dg.build_sensor_context(
            instance=world.instance, cursor=cursor, resources={"local_database": LocalDatabase()}, definitions=defs
        )
        cursor = lost_syncs.evaluate_tick(context).cursor
    return cursor


def status(world: World, run_id: str) -> str:
    run = world.instance.get_run_by_id(run_id)
    assert run is not None
    return run.status.value


def test_a_run_without_its_lease_for_some_ticks_is_ended_and_reported_once(world: World) -> None:
    run_id = begin(world)
    lease(world, run_id, 0)
    cursor = tick(world, TICKS_WITHOUT_A_LEASE - 1)
    assert status(world, run_id) == "STARTED"
    tick(world, TICKS_WITHOUT_A_LEASE, cursor)
    assert status(world, run_id) == "FAILURE"
    # Of the command line: no sensor of ended runs is handed it.
    assert world.sql("select run_id, status from sync_reports") == [(run_id, "FAILED")]
    with world.database.connect() as connection:
        assert [each.alert.fingerprint for each in alerts.standing(connection)] == [f"VSyncFailed/{ISPB}"]


def test_one_that_renews_its_lease_is_left_alone(world: World) -> None:
    run_id = begin(world)
    lease(world, run_id, LONG)
    tick(world, 3 * TICKS_WITHOUT_A_LEASE)
    assert status(world, run_id) == "STARTED"


def test_one_that_renews_its_lease_again_begins_anew(world: World) -> None:
    """As after an hour in which PostgreSQL was down."""
    run_id = begin(world)
    lease(world, run_id, 0)
    cursor = tick(world, TICKS_WITHOUT_A_LEASE - 1)
    lease(world, run_id, LONG)
    cursor = tick(world, 1, cursor)
    lease(world, run_id, 0)
    tick(world, TICKS_WITHOUT_A_LEASE - 1, cursor)
    assert status(world, run_id) == "STARTED"


def test_one_that_has_not_had_a_lease_yet_is_left_alone(world: World) -> None:
    lease(world, "another", LONG)
    run_id = begin(world)
    tick(world, 3 * TICKS_WITHOUT_A_LEASE)
    assert status(world, run_id) == "STARTED"


def test_one_that_another_has_taken_over_from_is_ended_and_raises_nothing_where_that_one_ended_well(
    world: World,
) -> None:
    run_id = begin(world)
    lease(world, run_id, 0)
    assert world.sync().status == "COMPLETED"
    tick(world, TICKS_WITHOUT_A_LEASE)
    assert status(world, run_id) == "FAILURE"
    assert world.sql("select run_id, status from sync_reports where status = 'FAILED'") == [(run_id, "FAILED")]
    with world.database.connect() as connection:
        assert alerts.standing(connection) == []


def test_one_that_has_ended_meanwhile_stays_as_it_ended(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = begin(world)
    lease(world, run_id, 0)
    cursor = tick(world, TICKS_WITHOUT_A_LEASE - 1)
    asked = leases.without_lease

    def it_ends_now(*arguments: object) -> set[str]:
        run = world.instance.get_run_by_id(run_id)
        assert run is not None
        ended = dg.DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, run.job_name)
        world.instance.report_dagster_event(ended, run_id)
        return asked(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(leases, "without_lease", it_ends_now)
    tick(world, 1, cursor)
    assert status(world, run_id) == "SUCCESS"
    assert world.sql("select count(*) from sync_reports") == [(0,)]
