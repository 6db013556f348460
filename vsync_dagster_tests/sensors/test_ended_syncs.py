"""Runs that ended, as the daemon hands them to the sensors: failed, killed, and well."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._record import copy

from vsync_dagster.definitions import defs
from vsync_dagster.jobs import SYNC_JOB
from vsync_dagster.local_db import alerts, fix_details, fixes, leases
from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.encryption import Cipher
from vsync_dagster.local_db.fix_details import FixDetail
from vsync_dagster.local_db.fixes import FixRecord
from vsync_dagster.local_db.leases import Fence, SupersededRunError
from vsync_dagster.partitions import SyncPartition, open_partitions_for
from vsync_dagster.resources import LocalDatabase
from vsync_dagster.sensors.ended_syncs import failed_syncs, succeeded_syncs, tell_of_failed
from vsync_dagster.simulator.faults import FaultKind
from vsync_dagster.simulator.operations import Operation
from vsync_dagster_tests.local_db.test_chains import findings, tamper
from vsync_dagster_tests.world import DAY, ISPB, World, running_world

ORIGIN = RemoteJobOrigin(
    RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("vsync_dagster"), "__repository__"), SYNC_JOB
)


@pytest.fixture
def world(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A participant without keys, and a DICT."""
    with running_world(database, tmp_path, monkeypatch) as running:
        monkeypatch.setenv("VSYNC_DAGSTER_URL", "https://dagster.example")
        yield running


def killed(world: World, **tags: str) -> dg.DagsterRun:
    """A run whose process died: run monitoring says so, and nobody else."""
    open_partitions_for(world.instance, [ISPB])
    run = world.instance.create_run_for_job(
        defs.resolve_job_def(SYNC_JOB),
        run_config={"resources": {"settings": {"config": {"sync_type": "FULL"}}}},
        tags={"dagster/partition": SyncPartition(DAY, ISPB).key, **tags},
    )
    world.instance.report_run_failed(run, "its process is gone")
    return run


def tell_of(world: World, run_id: str) -> None:
    """Hand a run that ended to the sensor for it."""
    run = world.instance.get_run_by_id(run_id)
    assert run is not None
    ended = [dg.DagsterEventType.RUN_FAILURE, dg.DagsterEventType.RUN_SUCCESS]
    [event] = [
        record.event_log_entry.dagster_event
        for record in world.instance.get_records_for_run(run_id).records
        if record.event_log_entry.dagster_event and record.event_log_entry.dagster_event.event_type in ended
    ]
    context = dg.build_run_status_sensor_context("sensor", event, world.instance, run)
    if run.status is dg.DagsterRunStatus.FAILURE:
        failed_syncs(context.for_run_failure(), local_database=LocalDatabase())
    else:
        succeeded_syncs(context, local_database=LocalDatabase())


def standing(world: World) -> list[alerts.Alert]:
    with world.database.connect() as connection:
        return [each.alert for each in alerts.standing(connection)]


def test_a_run_that_was_killed_gets_one_failed_report_and_an_alert(world: World) -> None:
    run = killed(world)
    tell_of(world, run.run_id)
    tell_of(world, run.run_id)

    rows = world.sql("select run_id, status, sync_type, error_message from sync_reports")
    remains = f"no key was changed; then run `vsync sync --ispb {ISPB}` again"
    message = f"the run's process was killed or never began; run it again; {remains} (see docs/messages.md#run-lost)"
    assert rows == [(run.run_id, "FAILED", "FULL", message)]
    [alert] = standing(world)
    assert (alert.fingerprint, alert.severity) == (f"VSyncFailed/{ISPB}", alerts.Severity.CRITICAL)
    assert alert.title == f"{ISPB}: the sync of {DAY} has failed"
    assert alert.link == f"https://dagster.example/runs/{run.run_id}"


def test_the_report_of_a_run_that_was_killed_seals_what_it_has_changed(world: World) -> None:
    run = killed(world)
    with world.database.connect() as connection:
        assert leases.acquire(connection, Fence(ISPB, run.run_id), "a-host", 3_600)
        cid, cipher = b"\x01" * 32, Cipher(world.variables.encryption_keys)
        record = FixRecord(fixes.CREATE, "CPF", None, cid, fixes.APPLIED, None)
        fixes.record(connection, run.run_id, ISPB, [record])
        fix_details.keep(connection, cipher, run.run_id, [FixDetail(ISPB, fixes.CREATE, cid, None, {"key": "1"})])
    tell_of(world, run.run_id)

    assert world.sql("select entries_created from sync_reports") == [(1,)]
    with pytest.raises(SupersededRunError, match="reported as killed"), world.database.connect() as connection:
        Fence(ISPB, run.run_id).check(connection)
    assert findings(world.database) == []
    [found] = tamper(world.database, "update fix_details set digest = sha256('')")
    assert found.problem.startswith("fix_details of its run: 1 rows when it was written, 1 now")


def test_a_run_that_reported_its_failure_keeps_its_report_and_the_alert_says_the_same(world: World) -> None:
    world.directory.faults.add(Operation.CREATE_SYNC_VERIFICATION, FaultKind.STATUS, times=99, status=403)
    report = world.sync()
    assert report.status == "FAILED"
    tell_of(world, report.run_id)
    assert world.sql("select id from sync_reports") == [(report.id,)]
    assert [alert.text for alert in standing(world)] == [report.error_message]


@pytest.mark.parametrize(
    ("begun_by", "backfill", "raised"),
    [
        ("code location", None, 0),
        ("code location", BulkActionStatus.REQUESTED, 0),
        ("code location", BulkActionStatus.COMPLETED, 1),
        ("code location", BulkActionStatus.CANCELED, 1),
        ("command line", None, 1),
    ],
)
def test_a_run_that_dagster_starts_again_raises_nothing_yet_and_one_that_it_only_says_so_of_does(
    world: World, begun_by: str, backfill: BulkActionStatus | None, raised: int
) -> None:
    tags = {"dagster/will_retry": "true"}
    if backfill is not None:
        world.instance.add_backfill(PartitionBackfill("a-backfill", backfill, False, {}, 0.0, partition_names=[]))
        tags["dagster/backfill"] = "a-backfill"
    run = killed(world, **tags)
    if begun_by == "code location":
        run = copy(run, remote_job_origin=ORIGIN)
    tell_of_failed(world.instance, run, world.database)
    assert world.sql("select status from sync_reports") == [("FAILED",)]
    assert len(standing(world)) == raised


def test_the_next_sync_that_ends_well_takes_the_alert_back(world: World) -> None:
    failed = killed(world)
    tell_of(world, failed.run_id)
    report = world.sync()
    assert report.status == "COMPLETED"
    tell_of(world, report.run_id)
    assert standing(world) == []
    tell_of(world, failed.run_id)
    assert standing(world) == [], "the sensor of failures came late"


def test_another_run_is_none_of_ours(world: World) -> None:
    run = world.instance.create_run_for_job(defs.resolve_job_def("retention_job"))
    world.instance.report_run_failed(run, "its process is gone")
    tell_of(world, run.run_id)
    assert world.sql("select count(*) from sync_reports") == [(0,)]
    assert standing(world) == []
