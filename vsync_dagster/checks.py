"""Thresholds on a sync's report, as asset checks by partition: what a person should look at, while the run goes on."""

import warnings
from collections.abc import Iterator
from dataclasses import asdict

import dagster as dg
from pydantic import Field

from vsync_dagster.assets.sync_report import sync_report
from vsync_dagster.local_db import integrity, metrics, reports
from vsync_dagster.local_db.database import Connection
from vsync_dagster.local_db.reports import Report
from vsync_dagster.partitions import sync_partitions
from vsync_dagster.reconcile.errors import PermanentError
from vsync_dagster.reconcile.status import Status
from vsync_dagster.reconcile.thresholds import Figures, error_rate, within
from vsync_dagster.resources import LocalDatabase, environment

_DESCRIPTIONS = {
    "duration_seconds": "The sync took no longer than that.",
    "discrepancies": "The sync found no more discrepancies than that.",
    "error_rate": "No larger share of the fixes failed.",
    "fixes_failed": "No more fixes failed.",
    "missing_bacen": "No more keys are here and not at DICT, those under review included.",
}

_FINDINGS = {
    "proved": "DICT said OK to every key type, keys under review left out or not.",
    "whole": "The sync left nothing undone: it was not PARTIAL.",
    "nothing_tampered": "No row was changed beneath its CID. Known to FULL syncs only, which recompute every CID.",
}

RUNBOOKS = {
    "duration_seconds": "VSyncSlow",
    "discrepancies": "VSyncHighDiscrepancies",
    "error_rate": "VSyncErrorRate",
    "fixes_failed": "VSyncFixesFailed",
    "missing_bacen": "VSyncMissingBacen",
    "proved": "VSyncNotProved",
    "whole": "VSyncPartial",
    "nothing_tampered": "VSyncTampered",
}
"""The alert whose runbook says what to do when a check fails."""


class Thresholds(dg.ConfigurableResource[None]):
    """What a sync's figures may be without a word; the defaults are the owner's."""

    duration_seconds: float = Field(default=3_600, ge=0, description="Duration of a sync, in seconds.")
    discrepancies: int = Field(default=100, ge=0, description="Discrepancies found.")
    error_rate: float = Field(default=0.05, ge=0, le=1, description="Share of the fixes that failed.")
    fixes_failed: int = Field(default=0, ge=0, description="Fixes that failed.")
    missing_bacen: int = Field(default=10, ge=0, description="Keys here and not at DICT, those under review included.")


with warnings.catch_warnings():
    # Checks by partition are new in Dagster 1.13, whose version is pinned; a test notices when they change.
    warnings.simplefilter("ignore", dg.PreviewWarning)
    _SPECS = [
        dg.AssetCheckSpec(name, asset=sync_report, description=description, partitions_def=sync_partitions)
        for name, description in {**_DESCRIPTIONS, **_FINDINGS}.items()
    ]


# As a subset, since a figure that is not known is not checked.
@dg.multi_asset_check(name="thresholds", specs=_SPECS, can_subset=True)
def thresholds(
    context: dg.AssetCheckExecutionContext, local_database: LocalDatabase, thresholds: Thresholds
) -> Iterator[dg.AssetCheckResult]:
    """Compare the run's own report with what is normal; a figure that is not fails no run.

    What the run does not know by itself is not checked, and nothing is of a dry run: the last check's result stands.

    Raises:
        PermanentError: the run wrote no report.
    """
    run_id = context.run.run_id

    def read(connection: Connection) -> tuple[Report | None, int | None, int | None]:
        report = reports.of_run(connection, run_id)
        missing = None if report is None else metrics.missing_at_dict(connection, report.participant_ispb)
        return report, missing, integrity.found_by(connection, run_id)

    report, missing_at_dict, tampered = local_database.database().retrying(read)
    if report is None:
        raise PermanentError(
            f"run {run_id} has no report: materialize sync_report with its checks", code="report-missing"
        )
    if report.dry_run:
        return
    found, limits = _figures(report, missing_at_dict), Figures(**thresholds.model_dump())
    chosen = {key.name for key in context.selected_asset_check_keys}
    for name, passed in within(found, limits).items():
        if name in chosen:
            yield _result(name, passed, asdict(found)[name], asdict(limits)[name])
    for name, count in _findings(report, tampered).items():
        if name in chosen:
            yield _result(name, count == 0, count, 0)


def _result(name: str, passed: bool, value: float, limit: float) -> dg.AssetCheckResult:
    metadata: dict[str, float | dg.MetadataValue] = {"value": value, "limit": limit}
    if not passed:
        metadata["runbook"] = _link(environment().runbook(RUNBOOKS[name]))
    return dg.AssetCheckResult(
        passed=passed,
        check_name=name,
        asset_key=sync_report.key,
        severity=dg.AssetCheckSeverity.WARN,
        metadata=metadata,
    )


def _link(where: str) -> dg.MetadataValue:
    """Return a URL as a link; without `VSYNC_DOCS_URL` it is a path, and so a text."""
    return dg.MetadataValue.url(where) if "://" in where else dg.MetadataValue.text(where)


def _findings(report: Report, tampered: int | None) -> dict[str, int]:
    """Return what must be 0; what the run does not know by itself is left out."""
    found = {"nothing_tampered": tampered}
    if report.compared_itself or report.verified:
        found |= {"proved": int(not report.verified), "whole": int(report.status == Status.PARTIAL)}
    return {name: value for name, value in found.items() if value is not None}


def _figures(report: Report, missing_at_dict: int | None) -> Figures:
    """Return what the report's own run found and did, and what is here and not at DICT by all that is known."""
    itself = report.repaired_itself
    made = (report.entries_created or 0) + (report.entries_updated or 0) + (report.entries_deleted or 0)
    return Figures(
        duration_seconds=report.duration_ms / 1000 if report.compared_itself else None,
        discrepancies=report.discrepancies if report.compared_itself else None,
        error_rate=error_rate(report.fixes_failed or 0, made) if itself else None,
        fixes_failed=report.fixes_failed if itself else None,
        missing_bacen=missing_at_dict,
    )
