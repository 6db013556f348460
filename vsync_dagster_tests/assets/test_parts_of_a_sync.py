"""Assets materialized by themselves, in each combination: nothing says what the run itself did not ask DICT."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import combinations
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from vsync_dagster.failure import ORDER
from vsync_dagster.local_db import alerts, reports, sync_state
from vsync_dagster.local_db.alerts import Alert, Severity
from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.reports import Report
from vsync_dagster.sensors.ended_syncs import NAME, tell_of_ended
from vsync_dagster.simulator.buckets import Limit
from vsync_dagster.simulator.drift import drift
from vsync_dagster.simulator.settings import Settings
from vsync_dagster.sync.connection import connect_dict
from vsync_dagster.sync.local_sets import read_whole
from vsync_dagster.sync.verification import verify_once
from vsync_dagster_tests.assets.test_failures import materialize
from vsync_dagster_tests.world import ISPB, LAG, World, running_world

Prepare = Callable[[World, int], None]
SUBSETS = [subset for count in range(1, len(ORDER) + 1) for subset in combinations(ORDER, count)]
REPRESENTATIVE = [
    ("sync_report",),
    ("bacen_snapshot",),
    ("applied_fixes", "sync_report"),
    ("local_snapshot", "sync_report"),
    ("bacen_snapshot", "discrepancies", "applied_fixes", "sync_report"),
]
MOVED: dict[str, Any] = {"creates": 30, "updates": 15, "deletes": 5}
CREATED = "select count(*) from fixes where kind = 'CREATE' and outcome = 'APPLIED' and run_id = %s"
CREATED_IN_REPORTS = """
select count(*) from fixes where kind = 'CREATE' and outcome = 'APPLIED' and participant_ispb = %s
    and run_id in (select run_id from sync_reports)
"""
VERIFIED = "select distinct key_type from dict_calls where run_id = %s and operation = 'createSyncVerification'"


@pytest.fixture
def world(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A participant without keys, and a DICT for whose budgets no sync waits."""
    limits = {name: Limit(100_000, 100_000, 1) for name in ("SYNC_VERIFICATIONS_WRITE", "CIDS_EVENTS_LIST")}
    settings = Settings(log_lag=timedelta(seconds=LAG), file_delay=timedelta(0), limits=limits)
    with running_world(database, tmp_path, monkeypatch, settings) as running:
        yield running


@dataclass(frozen=True)
class Before:
    """What was known before some assets were materialized."""

    clocks: dict[str, Any]
    baseline: int | None


def in_sync(world: World, seed: int) -> None:
    """The partition's last sync found nothing."""
    world.sync()
    assert world.sync().verified


def drifted(world: World, seed: int) -> None:
    """The partition's last sync found differences, and repaired them."""
    drift(world.directory, None, ISPB, creates=4, updates=3, seed=1_000 + seed)
    world.settle()
    assert world.sync().verified


def age(world: World, days: int = 3) -> None:
    """Have the partition's snapshots be some days old."""
    for path in world.variables.home.rglob("manifest.json"):
        path.write_text(json.dumps(_older(json.loads(path.read_text()), timedelta(days=days))))


def _older(value: Any, by: timedelta) -> Any:
    if isinstance(value, dict):
        return {
            name: (datetime.fromisoformat(each) - by).isoformat()
            if name in ("started_at", "taken_at", "read_until", "repaired_at", "read_whole_at") and each
            else _older(each, by)
            for name, each in value.items()
        }
    return value


def dicts_verdicts(world: World) -> dict[str, bool]:
    """What `vsync verify` says at this moment, by key type."""
    sets = read_whole(world.database, ISPB).by_key_type
    with connect_dict(world.variables, world.database, ISPB, None) as connection:
        return {name: verify_once(connection.client, ours).ok for name, ours in sets.items()}


def report_of(world: World, run_id: str) -> Report | None:
    with world.database.connect() as connection:
        return reports.of_run(connection, run_id)


def a_failed_sync(world: World) -> None:
    """A sync that failed a moment ago, and its alert."""
    with world.database.connect() as connection:
        last = reports.list_reports(connection, ISPB, 1)[0]
        figures = dict.fromkeys(("discrepancies", "missing_local", "outdated_local", "missing_bacen", "compared_by"))
        failed = replace(
            last,
            id=uuid4(),
            run_id=str(uuid4()),
            status="FAILED",
            verified=False,
            entries_created=0,
            entries_updated=0,
            sync_timestamp=datetime.now(UTC),
            **figures,  # type: ignore[arg-type]
        )
        assert reports.insert(connection, failed)
        alerts.raise_alert(connection, Alert(f"{NAME}/{ISPB}", NAME, Severity.CRITICAL, "failed", "", labels={}))


def stands(world: World) -> bool:
    with world.database.connect() as connection:
        return any(each.alert.name == NAME for each in alerts.standing(connection))


def known(world: World) -> Before:
    with world.database.connect() as connection:
        states = sync_state.get(connection, ISPB)
        clocks = {name: (state.verified_at, state.true_ok_at) for name, state in states.items()}
        return Before(clocks, reports.last_verified_keys(connection, ISPB))


@contextmanager
def nothing_false(world: World, subset: tuple[str, ...]) -> Iterator[Callable[[str], None]]:
    """Hold what a run that materialized some of the assets has left against what DICT says."""
    a_failed_sync(world)
    before = known(world)
    runs: list[str] = []
    yield runs.append
    [run_id] = runs
    report, now, verdicts = report_of(world, run_id), known(world), dicts_verdicts(world)
    for key_type, ok in verdicts.items():
        assert ok or now.clocks[key_type] == before.clocks[key_type], f"{key_type}: DICT says NOK, the clock was set"
    if report is None:
        assert "sync_report" not in subset
        assert now.baseline == before.baseline
    else:
        assert_true(world, report, verdicts, subset)
        assert report.verified or now.baseline == before.baseline
    tell_of_ended(run_id, world.database)
    ends = report is not None and report.status != "FAILED" and (report.verified or report.compared_by == run_id)
    assert stands(world) is not ends


def assert_true(world: World, report: Report, verdicts: dict[str, bool], subset: tuple[str, ...]) -> None:
    after = {name: told["after"] for name, told in report.key_types.items()}
    assert {name: answer == "OK" for name, answer in after.items() if answer} == {
        name: verdicts[name] for name, answer in after.items() if answer
    }
    asked = {key_type for (key_type,) in world.sql(VERIFIED, report.run_id)}
    assert {name for name, answer in after.items() if answer} <= asked, "a proof that its run did not ask for"
    assert not report.verified or all(verdicts.values())
    assert report.status != "COMPLETED" or report.verified
    assert world.sql(CREATED, report.run_id) == [(report.entries_created,)]
    if report.discrepancies is not None:
        assert None not in (report.missing_local, report.outdated_local, report.missing_bacen)
        assert report.discrepancies == report.missing_local + report.outdated_local + report.missing_bacen  # type: ignore[operator]
    if report.status != "FAILED":
        assert (report.compared_by == report.run_id) is ("bacen_snapshot" in subset)
        assert (report.repaired_by == report.run_id) is ("applied_fixes" in subset)
        assert None not in (report.compared_by, report.compared_at, report.repaired_by, report.repaired_at)
    counted = world.sql("select sum(entries_created) from sync_reports where participant_ispb = %s", ISPB)
    assert counted == world.sql(CREATED_IN_REPORTS, ISPB), "fixes are counted once, in the report of their own run"


def walk(world: World, prepare: Prepare, subsets: list[tuple[str, ...]], *, days_later: bool) -> None:
    world.populate(60)
    for number, subset in enumerate(subsets):
        prepare(world, number)
        drift(world.directory, None, ISPB, **MOVED, seed=10 + number)
        world.settle()
        if days_later:
            age(world)
        with nothing_false(world, subset) as ended:
            ended(materialize(world, *subset))


@pytest.mark.parametrize("prepare", [in_sync, drifted])
@pytest.mark.parametrize("subset", REPRESENTATIVE, ids="+".join)
def test_some_assets_by_themselves_say_nothing_that_dict_does_not(
    world: World, subset: tuple[str, ...], prepare: Prepare
) -> None:
    walk(world, prepare, [subset], days_later=subset == ("sync_report",))


@pytest.mark.long
@pytest.mark.parametrize("days_later", [False, True], ids=["at once", "days later"])
@pytest.mark.parametrize("prepare", [in_sync, drifted])
@pytest.mark.parametrize("first", range(4))
def test_no_subset_of_the_five_assets_says_what_dict_does_not(
    world: World, first: int, prepare: Prepare, days_later: bool
) -> None:
    assert len(SUBSETS) == 31
    walk(world, prepare, SUBSETS[first::4], days_later=days_later)


def test_a_report_alone_is_no_proof_of_a_set_that_has_moved_since(world: World) -> None:
    world.populate(60)
    synced = world.sync()
    drift(world.directory, None, ISPB, **MOVED)
    world.settle()
    verifications = world.calls("createSyncVerification")

    report = report_of(world, materialize(world, "sync_report"))

    assert report is not None
    assert (report.status, report.verified) == ("PARTIAL", False)
    assert {told["after"] for told in report.key_types.values()} == {"NOK"}
    assert (report.compared_by, report.repaired_by) == (synced.run_id, synced.run_id)
    assert world.calls("createSyncVerification") > verifications
    with world.database.connect() as connection:
        last = reports.last_sync(connection, ISPB)
    assert last is not None
    assert last.run_id == synced.run_id, "the last sync is the one that compared"


def test_a_report_executed_again_after_a_failure_proves_by_itself_and_counts_no_fix_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.populate(60)
    drift(world.directory, None, ISPB, creates=3, updates=2)
    world.settle()
    with monkeypatch.context() as broken:
        broken.setattr("vsync_dagster.assets.sync_report.build_report", _breaking)
        failed = world.sync()
    assert (failed.status, failed.entries_created, failed.entries_updated) == ("FAILED", 3, 2)

    report = report_of(world, materialize(world, "sync_report"))

    assert report is not None
    assert (report.status, report.verified) == ("COMPLETED", True)
    assert (report.entries_created, report.entries_updated, report.discrepancies) == (0, 0, 5)
    assert (report.compared_by, report.repaired_by) == (failed.run_id, failed.run_id)


def _breaking(*_: object) -> None:
    raise ValueError


def test_an_ok_to_a_local_snapshot_of_another_run_sets_no_clock_of_ours(world: World) -> None:
    world.populate(25)
    world.sync()
    before = known(world)
    world.sql("update entries set status = 'DELETED', deleted_at = now(), updated_at = now() where key_type = 'CPF'")
    answered = "select min(answered_at) from sync_state"
    [(answered_before,)] = world.sql(answered)

    materialize(world, "bacen_snapshot")

    assert not dicts_verdicts(world)["CPF"]
    assert known(world).clocks == before.clocks, "DICT's OK was to what we held then"
    assert world.sql(answered)[0][0] > answered_before


def test_a_comparison_of_another_run_closes_no_review_item(world: World) -> None:
    world.populate(25)
    world.sync()
    drift(world.directory, None, ISPB, creates=1, key_types=["EMAIL"])
    world.settle()
    entry = next(world.directory.entries(ISPB, "CPF"))
    world.directory.delete_entry(entry.key)
    world.settle()
    world.sync()
    world.directory.create_entry(entry)
    world.settle()
    materialize(world, "local_snapshot", "bacen_snapshot", "discrepancies")
    world.directory.delete_entry(entry.key)
    world.settle()

    materialize(world, "applied_fixes")

    assert world.sql("select status from manual_review_queue") == [("PENDING",)]
