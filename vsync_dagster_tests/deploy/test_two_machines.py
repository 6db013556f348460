"""One partition on two machines: nothing is shared but PostgreSQL and an object storage."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import fsspec
import pytest
from moto.server import ThreadedMotoServer

from vsync_dagster.embedded.process import LOOPBACK
from vsync_dagster.local_db import reports
from vsync_dagster.local_db.database import Database
from vsync_dagster.partitions import SyncPartition
from vsync_dagster.simulator.drift import drift
from vsync_dagster_tests.world import DAY, ISPB, LAG, World, running_world

ROOT = Path(__file__).parents[2]
PARTITION = SyncPartition(DAY, ISPB)
BUCKET = "snapshots"


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


class Machine:
    """A machine with a disk of its own: a process, a DAGSTER_HOME and a VSYNC_HOME."""

    def __init__(self, disk: Path) -> None:
        self.disk = disk
        disk.mkdir()
        (disk / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())

    def materialize(self, *assets: str) -> None:
        """Materialize assets of the partition, as a run of Dagster's own command."""
        settings = {"resources": {"settings": {"config": {"log_lag_seconds": LAG}}}}
        command = ["asset", "materialize", "--module-name", "vsync_dagster.definitions", "--select", ",".join(assets)]
        options = ["--partition", str(PARTITION.key), "--config-json", json.dumps(settings)]
        done = subprocess.run(
            [sys.executable, "-m", "dagster", *command, *options],
            cwd=self.disk,
            env={**os.environ, "DAGSTER_HOME": str(self.disk), "VSYNC_HOME": str(self.disk / "home")},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr[-3000:]

    def files(self) -> list[Path]:
        return [path for path in self.disk.rglob("*") if path.suffix in (".parquet", ".json")]


def test_a_partition_begun_on_one_machine_is_finished_on_another(world: World, tmp_path: Path) -> None:
    world.populate(40)
    drift(world.directory, None, ISPB, creates=3, updates=4)
    world.settle()
    one, other = Machine(tmp_path / "one"), Machine(tmp_path / "other")
    with dg.DagsterInstance.from_config(str(one.disk)) as instance:
        instance.add_dynamic_partitions("ispb", [ISPB])

    one.materialize("local_snapshot", "bacen_snapshot")
    other.materialize("discrepancies", "applied_fixes", "sync_report")

    with world.database.connect() as connection:
        [report] = reports.list_reports(connection)
    assert (report.status, report.verified) == ("COMPLETED", True), report.error_message
    assert (report.entries_created, report.entries_updated) == (3, 4)
    assert world.cids_here() == world.cids_at_dict()
    assert one.files() == other.files() == [], "snapshots are in the store alone"
