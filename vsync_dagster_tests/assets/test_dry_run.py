"""A dry run changes nothing that people are told by: no alert, no clock, no baseline, no gate, no check."""

from typing import Any

import pytest

from vsync_dagster.cli.sync import _tell
from vsync_dagster.local_db import alerts, metrics, reports
from vsync_dagster.metrics import DURATION_BOUNDS
from vsync_dagster.partitions import SyncPartition
from vsync_dagster.sensors.ended_syncs import raise_failed, tell_of_ended
from vsync_dagster.simulator.drift import drift
from vsync_dagster.simulator.faults import FaultKind
from vsync_dagster.simulator.operations import Operation
from vsync_dagster_tests.assets.test_failures import materialize
from vsync_dagster_tests.assets.test_parts_of_a_sync import a_failed_sync, known, report_of, stands
from vsync_dagster_tests.world import DAY, ISPB, World


def resolved(world: World) -> None:
    with world.database.connect() as connection:
        for each in alerts.standing(connection):
            alerts.resolve(connection, each.alert.fingerprint)


def last_failed(world: World) -> str:
    return str(world.sql("select run_id from sync_reports where status = 'FAILED'")[0][0])


@pytest.fixture
def compared(world: World) -> World:
    """A participant that is in sync."""
    world.populate(25)
    assert world.sync().verified
    return world


def test_it_resolves_no_failure(compared: World) -> None:
    a_failed_sync(compared)
    report = compared.sync(dry_run=True)
    assert (report.status, report.verified, report.dry_run) == ("COMPLETED", True, True)

    tell_of_ended(report.run_id, compared.database)
    _tell(report)

    assert stands(compared)
    [figures] = metrics.read_figures(compared.database, DURATION_BOUNDS).last_syncs
    assert (figures.status, figures.failed) == ("FAILED", 1)


def test_it_hides_no_failure_that_was_not_reported_yet(compared: World) -> None:
    a_failed_sync(compared)
    resolved(compared)
    compared.sync(dry_run=True)

    raise_failed(SyncPartition(DAY, ISPB), last_failed(compared), compared.database)

    assert stands(compared)


def test_one_that_fails_raises_no_alert(compared: World) -> None:
    compared.directory.faults.add(Operation.CREATE_SYNC_VERIFICATION, FaultKind.STATUS, times=9, status=403)
    report = compared.sync(dry_run=True)
    assert (report.status, report.dry_run) == ("FAILED", True)

    raise_failed(SyncPartition(DAY, ISPB), report.run_id, compared.database)
    _tell(report)

    assert not stands(compared)


def test_it_sets_no_clock_and_no_checkpoint(compared: World) -> None:
    drift(compared.directory, None, ISPB, creates=2, key_types=["CPF"])
    compared.settle()
    state = "select * from sync_state order by key_type"
    before = compared.sql(state)

    assert compared.sync(dry_run=True).discrepancies == 2

    assert compared.sql(state) == before


def test_it_is_no_baseline_of_the_shrinkage_gate(compared: World) -> None:
    before = known(compared).baseline
    with compared.database.connect() as connection:
        connection.execute("delete from entries where key_type = 'CPF'")
    for entry in list(compared.directory.entries(ISPB, "CPF")):
        compared.directory.delete_entry(entry.key)
    compared.settle()

    assert compared.sync(dry_run=True).verified

    assert before == 25
    assert known(compared).baseline == before


def test_it_asks_no_gate_and_leaves_no_permit(compared: World) -> None:
    drift(compared.directory, None, ISPB, creates=6)
    compared.settle()
    limits: dict[str, Any] = {"mass_change_share": 0.0, "mass_change_keys": 5}

    report = compared.sync(dry_run=True, allow_mass_change=True, allowed_by="ana", reason="a look", **limits)

    assert (report.status, report.discrepancies) == ("PARTIAL", 6)
    assert compared.sql("select count(*) from mass_changes") == [(0,)]


def test_it_is_checked_against_no_threshold(compared: World) -> None:
    report = compared.sync(dry_run=True)
    records = compared.instance.get_records_for_run(report.run_id).records
    assert not [record for record in records if record.event_log_entry.asset_check_evaluation]
    run = compared.instance.get_run_by_id(report.run_id)
    assert run is not None
    assert run.is_success


def test_a_report_alone_on_a_dry_run_stays_one(compared: World) -> None:
    drift(compared.directory, None, ISPB, creates=2)
    compared.settle()
    compared.sync(dry_run=True)
    calls = compared.calls("createSyncVerification")

    report = report_of(compared, materialize(compared, "sync_report"))

    assert report is not None
    assert (report.dry_run, report.verified, report.entries_synced) == (True, False, None)
    assert {told["after"] for told in report.key_types.values()} == {None}
    assert compared.calls("createSyncVerification") == calls
    with compared.database.connect() as connection:
        assert reports.last_sync(connection, ISPB) != report
