"""Thresholds on a sync's report, each kept with the partition that it is about."""

from dataclasses import replace

import dagster as dg
import pytest

from vsync_dagster.reconcile.thresholds import Figures, error_rate, within
from vsync_dagster.simulator.drift import drift
from vsync_dagster_tests.world import DAY, ISPB, World

LIMITS = Figures(3_600, 100, 0.05, 0, 10)


@pytest.mark.parametrize("name", Figures.__dataclass_fields__)
def test_a_limit_is_exceeded_by_more_and_not_by_as_much(name: str) -> None:
    more = replace(LIMITS, **{name: getattr(LIMITS, name) + 0.01})
    assert [each for each, passed in within(more, LIMITS).items() if not passed] == [name]
    assert all(within(LIMITS, LIMITS).values())


def test_the_error_rate_is_of_the_fixes_that_were_tried() -> None:
    assert (error_rate(0, 0), error_rate(1, 3), error_rate(1, 0)) == (0, 0.25, 1)


def test_each_check_is_kept_by_its_partition_and_fails_no_run(world: World) -> None:
    world.populate(60)
    assert world.sync().verified
    drift(world.directory, None, ISPB, deletes=11)
    world.settle()

    report = world.sync()

    assert (report.status, report.missing_bacen) == ("COMPLETED", 11)
    records = world.instance.get_records_for_run(report.run_id).records
    told = [record.event_log_entry.asset_check_evaluation for record in records]
    evaluations = {each.check_name: each for each in told if each is not None}
    assert {name: each.passed for name, each in evaluations.items()} == {
        "duration_seconds": True,
        "discrepancies": True,
        "error_rate": True,
        "fixes_failed": True,
        "missing_bacen": False,
    }
    assert {each.partition for each in evaluations.values()} == {f"{DAY}|{ISPB}"}
    assert evaluations["missing_bacen"].severity is dg.AssetCheckSeverity.WARN
    assert evaluations["missing_bacen"].metadata["value"].value == 11
