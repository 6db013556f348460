"""A sync that breaks off keeps every figure that it had learnt; the rest is not known, wherever it is shown."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner

from vsync_dagster.cli.app import cli
from vsync_dagster.failure import report_run_failure
from vsync_dagster.local_db import fixes
from vsync_dagster.local_db.fixes import FixRecord
from vsync_dagster.local_db.metrics import read_figures
from vsync_dagster.local_db.reports import Report
from vsync_dagster.metrics import DURATION_BOUNDS, families
from vsync_dagster.partitions import SyncPartition
from vsync_dagster.reconcile.errors import TransientError
from vsync_dagster.resources import SyncSettings
from vsync_dagster.simulator.drift import drift
from vsync_dagster.simulator.faults import FaultKind
from vsync_dagster.simulator.operations import Operation
from vsync_dagster.store import SnapshotStore
from vsync_dagster.sync.spool import spool, spooled, write_spooled
from vsync_dagster_tests.assets.test_failures import materialize
from vsync_dagster_tests.assets.test_parts_of_a_sync import report_of
from vsync_dagster_tests.world import DAY, ISPB, World

FOUND = ("discrepancies", "missing_local", "outdated_local", "missing_bacen", "in_flight", "pending")
UNASKED: dict[str, Any] = {"mass_change_share": 0.0, "mass_change_keys": 5}


def refused(world: World) -> Report:
    world.populate(25)
    world.sync()
    drift(world.directory, None, ISPB, creates=2, updates=2, deletes=2)
    world.settle()
    report = world.sync("FULL", **UNASKED)
    assert report.status == "FAILED"
    return report


def unread(world: World) -> Report:
    """A sync whose first question DICT refused."""
    world.populate(25)
    world.sync()
    world.directory.faults.add(Operation.CREATE_SYNC_VERIFICATION, FaultKind.STATUS, times=9, status=403)
    report = world.sync()
    assert report.status == "FAILED"
    return report


def samples(world: World) -> dict[str, float]:
    figures = read_figures(world.database, DURATION_BOUNDS)
    return {sample.name: sample.value for family in families(figures) for sample in family.samples}


def shown(report: Report) -> str:
    result = CliRunner().invoke(cli, ["report", "show", str(report.id)])
    assert result.exit_code == 0, result.output
    return result.output


def payload(world: World, report: Report) -> dict[str, Any]:
    [(told,)] = world.sql("select payload from outbox where payload ->> 'report_id' = %s", str(report.id))
    return dict(told)


def exported(world: World, folder: Path) -> tuple[pl.DataFrame, str]:
    arguments = ["--ispb", ISPB, "--from", str(DAY), "--to", str(DAY), "--out", str(folder / "evidence")]
    result = CliRunner().invoke(cli, ["report", "export", *arguments])
    assert result.exit_code == 0, result.output
    return pl.read_parquet(folder / "evidence" / "reports.parquet"), (folder / "evidence" / "report.html").read_text()


def test_a_refused_mass_change_reports_its_differences_and_key_types_as_figures(world: World) -> None:
    report = refused(world)

    assert [getattr(report, name) for name in FOUND] == [6, 2, 2, 2, 0, 0]
    assert report.entries_synced == 25
    assert (report.compared_by, report.repaired_by) == (report.run_id, None)
    assert (report.entries_created, report.entries_updated, report.entries_deleted) == (0, 0, 0)
    assert {told["before"] for told in report.key_types.values()} == {"OK", "NOK"}
    assert {told["after"] for told in report.key_types.values()} == {None}
    assert sum(told["entries"] for told in report.key_types.values()) == 25
    assert "6 discrepancies: 2 missing here, 2 outdated here, 2 missing at DICT; 0 in flight" in shown(report)
    assert [payload(world, report)[name] for name in FOUND] == [6, 2, 2, 2, 0, 0]
    told = samples(world)
    assert told["vsync_discrepancies_total"] == told["vsync_known_discrepancies"] == 6
    assert told["vsync_missing_bacen_count"] == 2
    assert "vsync_error_rate" not in told, "no fix was tried"


def test_a_sync_that_could_not_ask_dict_knows_our_entries_and_no_differences(world: World, tmp_path: Path) -> None:
    report = unread(world)

    assert (report.entries_synced, report.compared_by) == (25, None)
    assert [getattr(report, name) for name in FOUND] == [None] * 6
    assert {(told["before"], told["source"], told["after"]) for told in report.key_types.values()} == {(None,) * 3}
    text = shown(report)
    assert "- discrepancies: - missing here, - outdated here, - missing at DICT; - in flight" in text
    assert "created 0, updated 0, put up for review 0, failed 0" in text
    assert [payload(world, report)[name] for name in FOUND] == [None] * 6
    row = exported(world, tmp_path)[0].filter(status="FAILED")
    assert row.select(FOUND).row(0) == (None,) * 6
    assert row["entries_synced"].item() == 25
    as_json = CliRunner().invoke(cli, ["report", "show", str(report.id), "--json"]).output
    assert json.loads(as_json)["discrepancies"] is None


def test_a_failed_sync_ends_no_alert_of_what_an_earlier_one_found(world: World) -> None:
    refused(world)
    world.sync("FULL")
    known = samples(world)
    world.directory.faults.add(Operation.CREATE_SYNC_VERIFICATION, FaultKind.STATUS, times=9, status=403)

    world.sync()

    told = samples(world)
    assert known["vsync_known_discrepancies"] == known["vsync_discrepancies_total"] == 6
    assert known["vsync_known_error_rate"] == known["vsync_error_rate"] == 0
    assert not {"vsync_discrepancies_total", "vsync_error_rate"} & told.keys()
    assert told["vsync_known_discrepancies"] == 6
    assert told["vsync_known_error_rate"] == 0
    assert told["vsync_missing_bacen_count"] == known["vsync_missing_bacen_count"] == 2, "2 are under review"


def test_keys_under_review_are_counted_as_missing_at_dict_for_as_long_as_they_stand(world: World) -> None:
    world.populate(60)
    world.sync()
    drift(world.directory, None, ISPB, deletes=11)
    world.settle()
    assert world.sync().missing_bacen == 11

    report = world.sync()

    assert report.missing_bacen == 0, "none is new"
    assert samples(world)["vsync_missing_bacen_count"] == 11
    records = world.instance.get_records_for_run(report.run_id).records
    told = [record.event_log_entry.asset_check_evaluation for record in records]
    [check] = [each for each in told if each is not None and each.check_name == "missing_bacen"]
    assert (check.passed, check.metadata["value"].value) == (False, 11), "nobody has decided: the alert stands"


def test_what_a_killed_run_had_learnt_is_in_its_report(world: World) -> None:
    world.populate(25)
    world.sync()
    drift(world.directory, None, ISPB, creates=2)
    world.settle()
    run_id = materialize(world, "local_snapshot", "bacen_snapshot", "discrepancies")
    with world.database.connect() as connection:
        fixes.record(connection, run_id, ISPB, [FixRecord(fixes.CREATE, "CPF", None, bytes(32), fixes.FAILED, "full")])

    report_run_failure(
        run_id=run_id,
        partition=SyncPartition(DAY, ISPB),
        settings=SyncSettings(),
        started_at=datetime.now(UTC),
        error=TransientError("killed"),
    )

    report = report_of(world, run_id)
    assert report is not None
    assert [getattr(report, name) for name in FOUND] == [2, 2, 0, 0, 0, 0]
    assert (report.entries_synced, report.fixes_failed) == (25, 1)


def test_a_run_that_broke_off_claims_nothing_of_the_run_before_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.populate(25)
    drift(world.directory, None, ISPB, creates=2)
    world.settle()
    world.sync()

    monkeypatch.setattr(SnapshotStore, "write", _refused)

    report = world.sync()

    assert (report.status, report.entries_synced, report.compared_by) == ("FAILED", None, None)
    assert [getattr(report, name) for name in FOUND] == [None] * 6


def _refused(*_: object) -> object:
    raise TransientError("no snapshot can be written")


def test_a_report_that_waited_for_the_database_counts_its_fixes_once_it_is_back(world: World) -> None:
    report = refused(world)
    with world.database.connect() as connection:
        fixes.record(connection, "lost", ISPB, [FixRecord(fixes.CREATE, "CPF", None, bytes(32), fixes.FAILED, "full")])
    waiting = {"entries_created": None, "entries_updated": None, "entries_deleted": None, "fixes_failed": None}
    lost = Report(**{**_fields(report), **waiting, "id": report.id.__class__(int=7), "run_id": "lost"})
    spool(world.variables.home, lost, world.database.url)
    assert spooled(world.variables.home, "lost") == lost

    write_spooled(world.variables.home, world.database)

    written = report_of(world, "lost")
    assert written is not None
    assert (written.entries_created, written.fixes_failed, written.discrepancies) == (0, 1, 6)


def _fields(report: Report) -> dict[str, Any]:
    return {name: getattr(report, name) for name in Report.__dataclass_fields__}


def test_the_page_of_evidence_shows_what_is_not_known_as_such(world: World, tmp_path: Path) -> None:
    unread(world)
    rows, page = exported(world, tmp_path)
    assert rows["discrepancies"].to_list() == [0, None]
    assert "<td>-</td>" in page or ">-<" in page
