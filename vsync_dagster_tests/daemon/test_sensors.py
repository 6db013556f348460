"""The sensors as they run in production: in Dagster's daemon, through a code location, on PostgreSQL."""

import re
import signal
from itertools import product
from pathlib import Path

import dagster as dg
import psutil
import pytest

from vsync_dagster.embedded.process import free_port
from vsync_dagster.local_db import leases
from vsync_dagster.local_db.leases import Fence
from vsync_dagster.partitions import SyncPartition, open_partitions_for
from vsync_dagster.sensors.ended_syncs import failed_syncs
from vsync_dagster.sensors.exceeded_thresholds import NAMES, exceeded_thresholds
from vsync_dagster_tests.daemon.processes import Machine, lose_code_location, wait_until
from vsync_dagster_tests.reliability import fault
from vsync_dagster_tests.world import DAY, ISPB, World

ENDED = [f"{number:08}" for number in range(50)]
FAILED_CHECKS = ("discrepancies", "missing_bacen")
KILLED = [f"{number:08}" for number in range(100, 112)]
# As docs/scheduling.md has it for many participants.
MANY = {"DAGSTER_RUN_STATUS_SENSOR_PROCESS_LIMIT": "100"}

# A tick a minute, until it is sure that the run is lost.
LOST_S = 900.0


def end_with_failed_checks(instance: dg.DagsterInstance) -> None:
    """Store what fifty syncs leave that end at once: each fails two of its checks, one after the other."""
    for ispb, check in product(ENDED, FAILED_CHECKS):
        metadata = {"value": dg.MetadataValue.int(101), "limit": dg.MetadataValue.int(100)}
        partition = SyncPartition(DAY, ispb).key
        instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(dg.AssetKey("sync_report"), check, False, metadata, partition=partition)
        )


def end_without_a_word(instance: dg.DagsterInstance) -> None:
    """Have each run end as one whose process never began, and that is not to be started again."""
    for run in instance.get_runs():
        instance.add_run_tags(run.run_id, {"dagster/max_retries": "0"})
        instance.report_run_failed(run, "its process is gone")


def ticks(instance: dg.DagsterInstance, sensor: dg.SensorDefinition) -> int:
    """Return how many evaluations of a sensor have ended."""
    states = instance.all_instigator_state()
    ended = [
        tick
        for state in states
        if state.instigator_name == sensor.name
        for tick in instance.get_ticks(state.instigator_origin_id, state.selector_id)
        if tick.is_completed
    ]
    assert not any(tick.is_failure for tick in ended)
    return len(ended)


def wait_for_ticks(instance: dg.DagsterInstance, log: Path, more: int, *sensors: dg.SensorDefinition) -> None:
    """Wait until each of the sensors was evaluated so many times more."""
    before = {sensor.name: ticks(instance, sensor) for sensor in sensors}
    wait_until(lambda: all(ticks(instance, each) >= before[each.name] + more for each in sensors), log)


def test_what_fifty_syncs_and_twelve_killed_runs_leave_at_once_is_each_told_once_and_clocks_ring(
    world: World, tmp_path: Path
) -> None:
    world.sql("update participants set created_at = now() - interval '40 hours'")
    machine = Machine(tmp_path / "machine", MANY, {"concurrency": {"runs": {"max_concurrent_runs": 0}}})
    with machine.instance() as instance, machine.code_location() as port:
        open_partitions_for(instance, KILLED)
        workspace = machine.workspace(port)
        machine.backfill(workspace, [SyncPartition(DAY, ispb) for ispb in KILLED])
        with machine.daemon(workspace) as log:
            # What ended before their first evaluation sensors of ended runs leave alone.
            wait_for_ticks(instance, log, 1, failed_syncs)
            wait_until(lambda: instance.get_runs_count() == len(KILLED), log)
            end_without_a_word(instance)
            end_with_failed_checks(instance)
            wait_until(lambda: _count(world, "sync_reports") == len(KILLED), log)
            wait_until(lambda: _count(world, "alerts") >= len(ENDED) * len(FAILED_CHECKS) + len(KILLED) + 2, log)
            wait_for_ticks(instance, log, 1, failed_syncs, exceeded_thresholds)
        killed = {run.run_id: run.tags["dagster/partition/ispb"] for run in instance.get_runs()}

    raised = world.sql("select fingerprint, times_raised, resolved_at from alerts order by id")
    told = [fingerprint for fingerprint, _, _ in raised]
    of_checks = [each for each in told if each.split("/")[0] in NAMES.values()]
    assert of_checks == [f"{NAMES[check]}/{ispb}/{DAY}" for ispb, check in product(ENDED, FAILED_CHECKS)]
    of_runs = [each for each in told if each.startswith("VSyncFailed/")]
    assert sorted(of_runs) == [f"VSyncFailed/{ispb}" for ispb in KILLED]
    assert set(told) - {*of_checks, *of_runs} == {f"VSyncNotAnswered/{ISPB}", f"VSyncNotOk/{ISPB}"}
    assert {(times, resolved) for _, times, resolved in raised} == {(1, None)}
    reported = world.sql("select run_id, participant_ispb, status from sync_reports")
    assert sorted(reported) == sorted((run_id, ispb, "FAILED") for run_id, ispb in killed.items())
    assert sorted(killed.values()) == KILLED


@pytest.mark.long
def test_a_run_whose_process_is_killed_has_its_failed_report_and_dagster_starts_it_again(
    world: World, tmp_path: Path
) -> None:
    """It is killed while it waits for another run of the participant's; the next attempt finds that one gone."""
    world.populate(5)
    machine, partition = Machine(tmp_path / "machine"), SyncPartition(DAY, ISPB)
    with world.database.connect() as connection:
        assert leases.acquire(connection, Fence(ISPB, "another"), "another host", 3_600)
    with machine.instance() as instance, machine.code_location() as port:
        open_partitions_for(instance, [ISPB])
        workspace = machine.workspace(port)
        with machine.daemon(workspace) as log:
            wait_for_ticks(instance, log, 1, failed_syncs)
            machine.backfill(workspace, [partition])
            wait_until(lambda: _pid(instance) is not None, log)
            [first] = instance.get_runs()
            pid = _pid(instance)
            assert pid is not None
            psutil.Process(pid).send_signal(signal.SIGKILL)
            wait_until(lambda: _count(world, "sync_reports") == 1, log)
            with world.database.connect() as connection:
                leases.release(connection, Fence(ISPB, "another"))
            wait_until(lambda: _count(world, "sync_reports") == 2, log)
            wait_for_ticks(instance, log, 1, failed_syncs)

    [failed, again] = world.sql("select run_id, status, error_message from sync_reports order by created_at")
    assert failed == (first.run_id, "FAILED", "the run's process was killed or never began; run it again")
    assert again[0] != first.run_id
    assert again[1:] == ("COMPLETED", None)
    assert world.sql("select fingerprint from alerts") == []


@pytest.mark.long
@fault(
    "Process",
    "kill -9 of a run together with its code location, as when a machine is lost",
    "Its lease tells: it gets one FAILED report within minutes, and Dagster starts it again.",
)
def test_a_run_that_is_lost_with_its_machine_has_its_failed_report_and_dagster_starts_it_again(
    world: World, tmp_path: Path
) -> None:
    world.populate(5)
    machine, partition = Machine(tmp_path / "machine", {"VSYNC_LEASE_SECONDS": "5"}), SyncPartition(DAY, ISPB)
    port = free_port()
    workspace = machine.workspace(port)
    with machine.instance() as instance, machine.daemon(workspace) as log:
        open_partitions_for(instance, [ISPB])
        with machine.code_location(port), world.database.connect() as connection:
            wait_for_ticks(instance, log, 1, failed_syncs)
            connection.execute("lock table entries")
            machine.backfill(workspace, [partition])
            wait_until(lambda: _count(world, "sync_leases") == 1, log)
            lose_code_location(port)
        [first] = instance.get_runs()
        assert first.status is dg.DagsterRunStatus.STARTED, "nobody has noticed"
        with machine.code_location(port):
            wait_until(lambda: _count(world, "sync_reports") == 2, log, LOST_S)

    [failed, again] = world.sql("select run_id, status, error_message from sync_reports order by sync_timestamp")
    assert failed == (first.run_id, "FAILED", "the run's process was killed or never began; run it again")
    assert again[0] != first.run_id
    assert again[1:] == ("COMPLETED", None)
    assert world.sql("select fingerprint from alerts") == []


def _count(world: World, table: str) -> int:
    return int(world.sql(f"select count(*) from {table}")[0][0])  # noqa: S608


def _pid(instance: dg.DagsterInstance) -> int | None:
    """Return the process of the only run, once it works."""
    for run in instance.get_runs():
        told = [str(entry.message) for entry in instance.all_logs(run.run_id)]
        if any("waiting for run another" in message for message in told):
            [pid] = {match[1] for message in told if (match := re.search(r"\(pid: (\d+)\)", message))}
            return int(pid)
    return None
