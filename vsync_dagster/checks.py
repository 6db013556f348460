"""Thresholds on a sync's report, as asset checks by partition: what a person should look at, while the run goes on."""

import warnings
from collections.abc import Iterator
from dataclasses import asdict

import dagster as dg
from pydantic import Field

from vsync_dagster.assets.sync_report import sync_report
from vsync_dagster.local_db import reports
from vsync_dagster.local_db.reports import Report
from vsync_dagster.partitions import sync_partitions
from vsync_dagster.reconcile.errors import PermanentError
from vsync_dagster.reconcile.thresholds import Figures, error_rate, within
from vsync_dagster.resources import LocalDatabase

_DESCRIPTIONS = {
    "duration_seconds": "The sync took no longer than that.",
    "discrepancies": "The sync found no more discrepancies than that.",
    "error_rate": "No larger share of the fixes failed.",
    "fixes_failed": "No more fixes failed.",
    "missing_bacen": "No more keys are here and not at DICT.",
}


class Thresholds(dg.ConfigurableResource[None]):
    """What a sync's figures may be without a word; the defaults are the owner's."""

    duration_seconds: float = Field(default=3_600, ge=0, description="Duration of a sync, in seconds.")
    discrepancies: int = Field(default=100, ge=0, description="Discrepancies found.")
    error_rate: float = Field(default=0.05, ge=0, le=1, description="Share of the fixes that failed.")
    fixes_failed: int = Field(default=0, ge=0, description="Fixes that failed.")
    missing_bacen: int = Field(default=10, ge=0, description="Keys that only we hold.")


with warnings.catch_warnings():
    # Checks by partition are new in Dagster 1.13, whose version is pinned; a test notices when they change.
    warnings.simplefilter("ignore", dg.PreviewWarning)
    _SPECS = [
        dg.AssetCheckSpec(name, asset=sync_report, description=description, partitions_def=sync_partitions)
        for name, description in _DESCRIPTIONS.items()
    ]


@dg.multi_asset_check(name="thresholds", specs=_SPECS)
def thresholds(
    context: dg.AssetCheckExecutionContext, local_database: LocalDatabase, thresholds: Thresholds
) -> Iterator[dg.AssetCheckResult]:
    """Compare the run's own report with what is normal; a figure that is not fails no run.

    Raises:
        PermanentError: the run wrote no report.
    """
    run_id = context.run.run_id
    report = local_database.database().retrying(lambda connection: reports.of_run(connection, run_id))
    if report is None:
        raise PermanentError(
            f"run {run_id} has no report: materialize sync_report with its checks", code="report-missing"
        )
    found, limits = _figures(report), Figures(**thresholds.model_dump())
    for name, passed in within(found, limits).items():
        yield dg.AssetCheckResult(
            passed=passed,
            check_name=name,
            asset_key=sync_report.key,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"value": asdict(found)[name], "limit": asdict(limits)[name]},
        )


def _figures(report: Report) -> Figures:
    made = report.entries_created + report.entries_updated + report.entries_deleted
    return Figures(
        duration_seconds=report.duration_ms / 1000,
        discrepancies=report.discrepancies,
        error_rate=error_rate(report.fixes_failed, made),
        fixes_failed=report.fixes_failed,
        missing_bacen=report.missing_bacen,
    )
