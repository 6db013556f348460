"""One partition on two machines, each with a code server: they share PostgreSQL and an object storage, and no disk."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import fsspec
import pytest
from moto.server import ThreadedMotoServer

from vsync_dagster.embedded.process import LOOPBACK
from vsync_dagster.jobs import SYNC_JOB
from vsync_dagster.local_db import reports
from vsync_dagster.local_db.database import Database
from vsync_dagster.partitions import SyncPartition, open_partitions_for
from vsync_dagster.simulator.drift import drift
from vsync_dagster_tests.daemon.processes import Machine, wait_until
from vsync_dagster_tests.world import DAY, ISPB, LAG, World, running_world

PARTITION = SyncPartition(DAY, ISPB)
BUCKET = "snapshots"
PATIENCE_S = 300.0


@pytest.fixture
def object_storage(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A store that speaks S3, as `VSYNC_STORAGE_URL` names it."""
    server = ThreadedMotoServer(ip_address=LOOPBACK, port=0)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    try:
        fsspec.filesystem("s3", skip_instance_cache=True).mkdir(BUCKET)
        yield f"s3://{BUCKET}/production"
    finally:
        server.stop()


@pytest.fixture
def world(database: Database, tmp_path: Path, object_storage: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with running_world(database, tmp_path, monkeypatch) as running:
        monkeypatch.setenv("VSYNC_STORAGE_URL", object_storage)
        yield running


_LAUNCH = """
mutation ($run: ExecutionParams!) {
  launchRun(executionParams: $run) {
    ... on LaunchRunSuccess { run { runId } }
    ... on Error { message }
  }
}
"""


def launch(queue: Machine, workspace: Path, location: str, *assets: str) -> str:
    """Queue a run of some assets of the partition on a code location, as the UI does; return its id."""
    tags = {
        "dagster/partition": PARTITION.key,
        "dagster/partition/date": PARTITION.day.isoformat(),
        "dagster/partition/ispb": PARTITION.ispb,
    }
    run = {
        "selector": {
            "repositoryLocationName": location,
            "repositoryName": "__repository__",
            "jobName": SYNC_JOB,
            "assetSelection": [{"path": [asset]} for asset in assets],
        },
        "runConfigData": {"resources": {"settings": {"config": {"log_lag_seconds": LAG}}}},
        "executionMetadata": {"tags": [{"key": key, "value": str(value)} for key, value in tags.items()]},
    }
    answer = queue.ask(workspace, _LAUNCH, run=run)["launchRun"]
    assert "run" in answer, answer
    return str(answer["run"]["runId"])


def wait_for(instance: dg.DagsterInstance, run_id: str, log: Path) -> str:
    """Wait until a run has ended well; return the code location that it ran on."""

    def run() -> dg.DagsterRun:
        found = instance.get_run_by_id(run_id)
        assert found is not None
        return found

    wait_until(lambda: run().is_finished, log, PATIENCE_S)
    assert run().is_success, [entry.message for entry in instance.all_logs(run_id)]
    origin = run().remote_job_origin
    assert origin is not None
    return origin.location_name


def files(machine: Machine) -> list[Path]:
    return [path for path in machine.disk.rglob("*") if path.suffix in (".parquet", ".json")]


@pytest.mark.long
def test_a_partition_begun_on_one_code_server_is_finished_on_another(world: World, tmp_path: Path) -> None:
    """The daemon is on a third machine, which holds the queue and no code."""
    world.populate(40)
    drift(world.directory, None, ISPB, creates=3, updates=4)
    world.settle()
    queue, one, other = (Machine(tmp_path / name) for name in ("queue", "one", "other"))
    with (
        queue.instance() as instance,
        one.code_location() as first,
        other.code_location() as second,
    ):
        open_partitions_for(instance, [ISPB])
        workspace = queue.workspace(first, second)
        with queue.daemon(workspace) as log:
            begun = launch(queue, workspace, "vsync_dagster", "local_snapshot", "bacen_snapshot")
            assert wait_for(instance, begun, log) == "vsync_dagster"
            ended = launch(queue, workspace, "vsync_dagster_2", "discrepancies", "applied_fixes", "sync_report")
            assert wait_for(instance, ended, log) == "vsync_dagster_2"

    with world.database.connect() as connection:
        [report] = reports.list_reports(connection)
    assert (report.status, report.verified) == ("COMPLETED", True), report.error_message
    assert (report.entries_created, report.entries_updated) == (3, 4)
    assert world.cids_here() == world.cids_at_dict()
    assert [*files(queue), *files(one), *files(other)] == [], "snapshots are in the store alone"
