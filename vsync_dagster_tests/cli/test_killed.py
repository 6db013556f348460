"""A `vsync sync` whose process is killed: nothing else has begun its run, so no code location notices."""

import subprocess
import sys
from pathlib import Path

import dagster as dg

from vsync_dagster.definitions import defs
from vsync_dagster.local_db.metrics import read_figures
from vsync_dagster.resources import LocalDatabase
from vsync_dagster.sensors.lost_syncs import TICKS_WITHOUT_A_LEASE, lost_syncs
from vsync_dagster_tests.cli.conftest import Command
from vsync_dagster_tests.reliability import fault
from vsync_dagster_tests.waiting import wait_until
from vsync_dagster_tests.world import ISPB, World


def kill_at_work(world: World) -> str:
    """Kill `vsync sync` while it waits for the table, and let its lease expire; return its run's id."""
    with world.database.connect() as connection:
        connection.execute("lock table entries")
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name("vsync")), "sync", "--ispb", ISPB], stderr=subprocess.DEVNULL
        )
        query = "select run_id from sync_leases"
        wait_until(lambda: world.sql(query), "it takes no lease", ended=lambda: process.poll() is not None)
        held = world.sql(query)
        process.kill()
        process.wait()
    world.sql("update sync_leases set expires_at = clock_timestamp()")  # as it does by itself, in a minute
    return str(held[0][0])


@fault(
    "Process",
    "kill -9 of `vsync sync`, whose run no code location watches",
    "Its lease tells: it gets one FAILED report, and an alert that the next sync resolves.",
)
def test_it_has_its_failed_report_and_its_alert_and_is_counted(world: World, synced: Command) -> None:
    run_id = kill_at_work(world)
    cursor = None
    with dg.DagsterInstance.from_config(str(world.variables.home / "dagster")) as instance:
        for _ in range(TICKS_WITHOUT_A_LEASE):
            context = dg.build_sensor_context(
                instance=instance, cursor=cursor, resources={"local_database": LocalDatabase()}, definitions=defs
            )
            cursor = lost_syncs.evaluate_tick(context).cursor
        run = instance.get_run_by_id(run_id)
        assert run is not None
        assert run.status is dg.DagsterRunStatus.FAILURE

    assert world.sql("select run_id, status from sync_reports") == [(run_id, "FAILED")]
    assert world.sql("select fingerprint from alerts where resolved_at is null") == [(f"VSyncFailed/{ISPB}",)]
    [last] = read_figures(world.database, [1.0]).last_syncs
    assert (last.status, last.failed) == ("FAILED", 1)

    assert synced("sync", "--ispb", ISPB).status == 0
    assert world.sql("select fingerprint from alerts where resolved_at is null") == []
