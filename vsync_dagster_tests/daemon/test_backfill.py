"""Backfills as people start them, through Dagster's daemon, queue and code location, on PostgreSQL."""

import logging
import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise, product
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus

from vsync_dagster.failure import ORDER
from vsync_dagster.local_db import reports
from vsync_dagster.local_db.reports import Report
from vsync_dagster.partitions import SyncPartition, open_partitions_for
from vsync_dagster.reconcile.calendar import TIMEZONE
from vsync_dagster.sensors.exceeded_thresholds import NAMES
from vsync_dagster.simulator.drift import drift
from vsync_dagster_tests.daemon.processes import Machine, wait_until
from vsync_dagster_tests.world import ISPB, World

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"
# Rows are compared with their CIDs in FULL syncs only, which these are not.
CHECKED = set(NAMES) - {"nothing_tampered"}
KEYS, CREATES, UPDATES = 10, 2, 3
# The queue looks every five seconds, the backfill daemon every thirty; a process takes seconds to import Dagster.
PATIENCE_S = 120
PATIENCE_PER_PARTITION_S = 30

_log = logging.getLogger(__name__)


def rectangle(world: World, participants: int, days: int) -> list[SyncPartition]:
    """Return the partitions of so many participants, each with keys of its own and drift, on the last so many days."""
    ispbs = [ISPB, *(f"{number:08}" for number in range(1, participants))]
    for ispb in ispbs:
        if ispb != ISPB:
            world.join(ispb)
        world.populate(KEYS, ispb=ispb)
        drift(world.directory, None, ispb, creates=CREATES, updates=UPDATES)
    today = datetime.now(ZoneInfo(TIMEZONE)).date()
    return [SyncPartition(today - timedelta(days=ago), ispb) for ispb, ago in product(ispbs, range(days))]


def runs(instance: dg.DagsterInstance) -> list[dg.RunRecord]:
    return list(instance.get_run_records(dg.RunsFilter()))


def wait_for_runs(instance: dg.DagsterInstance, count: int, log: Path) -> None:
    """Wait until so many runs have ended, none otherwise than well."""

    def ended() -> bool:
        states = Counter(record.dagster_run.status for record in runs(instance))
        assert not states[dg.DagsterRunStatus.FAILURE], log.read_text()[-5_000:]
        return states[dg.DagsterRunStatus.SUCCESS] == count

    wait_until(ended, log, PATIENCE_S + count * PATIENCE_PER_PARTITION_S)


def all_reports(world: World) -> list[Report]:
    with world.database.connect() as connection:
        return reports.list_reports(connection, limit=1_000)


def checked(instance: dg.DagsterInstance) -> Counter[tuple[str | None, str]]:
    """Count the evaluations of checks by partition and check, all of which must have passed."""
    wanted = dg.EventRecordsFilter(dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    told = [record.event_log_entry.asset_check_evaluation for record in instance.get_event_records(wanted)]
    assert all(each is not None and each.passed for each in told)
    return Counter((each.partition, each.check_name) for each in told if each is not None)


def assert_each_was_applied_once(world: World, ispbs: set[str]) -> None:
    """Compare what was applied, and what was told of it, with what had drifted; and both sides."""
    for ispb in ispbs:
        applied = world.sql(
            "select kind, count(*) from fixes where outcome = 'APPLIED' and participant_ispb = %s group by kind", ispb
        )
        assert dict(applied) == {"CREATE": CREATES, "UPDATE": UPDATES}
        assert world.cids_here(ispb) == world.cids_at_dict(ispb)
    told = "select event_type, count(*) from outbox where event_type <> 'vsync.sync.completed' group by event_type"
    assert dict(world.sql(told)) == {
        "vsync.entry.created": CREATES * len(ispbs),
        "vsync.entry.updated": UPDATES * len(ispbs),
    }


def assert_one_at_a_time(records: Sequence[dg.RunRecord]) -> None:
    """Of one participant no run began before the one before it had ended."""
    worked = sorted(
        (record.dagster_run.tags["dagster/partition/ispb"], record.start_time, record.end_time) for record in records
    )
    for (ispb, _, ended), (other, began, _) in pairwise(worked):
        assert ispb != other or (ended is not None and began is not None and ended <= began)


def assert_synced(world: World, instance: dg.DagsterInstance, asked: Sequence[SyncPartition]) -> None:
    """Each partition that was asked for, as often as it was, has its materializations, checks and report."""
    times = Counter(asked)
    for asset in ORDER:
        materialized = instance.get_materialized_partitions(dg.AssetKey(asset))
        assert materialized == {str(partition.key) for partition in asked}
    found = all_reports(world)
    assert Counter(SyncPartition(report.sync_day, report.participant_ispb) for report in found) == times
    assert {(report.status, report.verified) for report in found} == {("COMPLETED", True)}
    assert {report.run_id for report in found} == {record.dagster_run.run_id for record in runs(instance)}
    expected = {(str(partition.key), check): count for partition, count in times.items() for check in CHECKED}
    assert checked(instance) == expected
    assert_each_was_applied_once(world, {partition.ispb for partition in asked})
    assert_one_at_a_time(runs(instance))


def documented_command(partitions: Sequence[SyncPartition]) -> str:
    """Return the command that docs/operations.md gives, for other days and participants."""
    found = re.search(r"^(dagster job backfill .*\s)\S+'\|'\S+(\)\")$", OPERATIONS.read_text(), re.MULTILINE)
    assert found is not None
    days = ",".join({partition.day.isoformat() for partition in partitions})
    ispbs = ",".join({partition.ispb for partition in partitions})
    return f"{found[1]}{{{days}}}'|'{{{ispbs}}}{found[2]}"


def test_backfills_from_the_ui_and_the_command_line_sync_each_partition_and_apply_nothing_twice(
    world: World, tmp_path: Path
) -> None:
    partitions = rectangle(world, participants=2, days=2)
    machine = Machine(tmp_path / "machine")
    with machine.instance() as instance, machine.code_location() as port:
        open_partitions_for(instance, {partition.ispb for partition in partitions})
        workspace = machine.workspace(port)
        machine.backfill(workspace, partitions[:1])
        machine.shell(documented_command(partitions))
        with machine.daemon(workspace) as log:
            wait_for_runs(instance, len(partitions) + 1, log)

        assert_synced(world, instance, [*partitions, partitions[0]])
        assert all("dagster/backfill" in record.dagster_run.tags for record in runs(instance))


@pytest.mark.long
def test_a_backfill_of_ten_participants_and_seven_days(world: World, tmp_path: Path) -> None:
    partitions = rectangle(world, participants=10, days=7)
    machine = Machine(tmp_path / "machine")
    with machine.instance() as instance, machine.code_location() as port:
        open_partitions_for(instance, {partition.ispb for partition in partitions})
        workspace = machine.workspace(port)
        [first] = machine.backfill(workspace, partitions)
        with machine.daemon(workspace) as log:
            wait_for_runs(instance, len(partitions), log)
            wait_until(lambda: _status(instance, first) is BulkActionStatus.COMPLETED_SUCCESS, log)
            assert_synced(world, instance, partitions)
            _tell_what_it_took(runs(instance))
            before = {report.id: report for report in all_reports(world)}

            [again] = machine.backfill(workspace, partitions[-1:])
            wait_for_runs(instance, len(partitions) + 1, log)
            wait_until(lambda: _status(instance, again) is BulkActionStatus.COMPLETED_SUCCESS, log)

        assert_synced(world, instance, [*partitions, partitions[-1]])
        after = {report.id: report for report in all_reports(world)}
        assert {report_id: after[report_id] for report_id in before} == before, "a report is never changed"


def _status(instance: dg.DagsterInstance, backfill_id: str) -> BulkActionStatus:
    found = instance.get_backfill(backfill_id)
    assert found is not None
    return found.status


def _tell_what_it_took(records: Sequence[dg.RunRecord]) -> None:
    """Say what docs/scheduling.md quotes."""
    begun = [record.start_time for record in records if record.start_time is not None]
    ended = [record.end_time for record in records if record.end_time is not None]
    each = sorted(end - begin for begin, end in zip(begun, ended, strict=True))
    whole = max(ended) - min(begun)
    _log.info(
        "%d partitions in %.0f s, %.1f s each; a run took %.1f s (median), %.1f s at most",
        len(each), whole, whole / len(each), each[len(each) // 2], each[-1],
    )  # fmt: skip
