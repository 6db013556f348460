"""Thresholds on a sync's report, each kept with the partition that it is about."""

from dataclasses import replace

import dagster as dg
import pytest

from vsync_dagster.checks import RUNBOOKS, _result, thresholds
from vsync_dagster.local_db import metrics
from vsync_dagster.local_db.reports import Report
from vsync_dagster.metrics import DURATION_BOUNDS
from vsync_dagster.reconcile.thresholds import Figures, error_rate, within
from vsync_dagster.simulator.drift import drift
from vsync_dagster.sync.report import build_report
from vsync_dagster_tests.deploy.test_monitoring import runbooks
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
        "proved": True,
        "whole": True,
    }
    assert {each.partition for each in evaluations.values()} == {f"{DAY}|{ISPB}"}
    assert evaluations["missing_bacen"].severity is dg.AssetCheckSeverity.WARN
    assert evaluations["missing_bacen"].metadata["value"].value == 11
    linked = {name: each.metadata["runbook"].value for name, each in evaluations.items() if "runbook" in each.metadata}
    assert linked == {"missing_bacen": "docs/runbooks.md#vsyncmissingbacen"}, "what fails, and nothing else"


def test_each_check_has_a_runbook() -> None:
    assert RUNBOOKS.keys() == {key.name for key in thresholds.check_keys}
    assert set(RUNBOOKS.values()) <= runbooks()


def test_a_runbook_is_a_link_where_the_documents_have_a_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VSYNC_DOCS_URL", "https://git.example/vsync/docs")
    failed, passed = _result("proved", False, 1, 0), _result("proved", True, 0, 0)
    assert failed.metadata["runbook"] == dg.MetadataValue.url(
        "https://git.example/vsync/docs/runbooks.md#vsyncnotproved"
    )
    assert "runbook" not in passed.metadata


def checks_of(world: World, run_id: str) -> dict[str, bool]:
    told = [
        record.event_log_entry.asset_check_evaluation for record in world.instance.get_records_for_run(run_id).records
    ]
    return {each.check_name: each.passed for each in told if each is not None}


def figures(world: World) -> metrics.Figures:
    return metrics.read_figures(world.database, DURATION_BOUNDS)


def test_a_row_changed_beneath_its_cid_fails_a_check_and_is_a_metric_until_a_full_sync_finds_none(world: World) -> None:
    world.populate(25)
    assert checks_of(world, world.sync("FULL").run_id)["nothing_tampered"]
    world.sql("update entries set owner_name = 'Outro Nome' where key_type = 'CPF' and key = %s", world.key_of("CPF"))
    world.settle()

    assert "nothing_tampered" not in checks_of(world, world.sync().run_id), "an INCREMENTAL sync does not know"
    report = world.sync("FULL")
    assert checks_of(world, report.run_id)["nothing_tampered"] is False
    assert report.status != "FAILED", "the check blocks nothing"
    assert [(each.ispb, each.tampered) for each in figures(world).integrity] == [(ISPB, 1)]

    world.sync("FULL", dry_run=True)
    assert [each.tampered for each in figures(world).integrity] == [1], "a dry run ends no alert"
    assert checks_of(world, world.sync("FULL").run_id)["nothing_tampered"]
    assert [each.tampered for each in figures(world).integrity] == [0]


def test_a_partial_sync_that_proves_nothing_fails_both_checks(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.populate(25)
    world.sync()

    def partial(*args: object, **kwargs: object) -> Report:
        return replace(build_report(*args, **kwargs), status="PARTIAL", verified=False)  # type: ignore[arg-type]

    monkeypatch.setattr("vsync_dagster.assets.sync_report.build_report", partial)
    checked = checks_of(world, world.sync().run_id)

    assert (checked["proved"], checked["whole"]) == (False, False)
    assert [each.proved for each in figures(world).proofs] == [False]
