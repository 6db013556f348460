"""Tells of syncs that failed, also of those that were killed, and takes it back when one has ended well."""

from typing import Any

import dagster as dg

from vsync_dagster.failure import NOT_STARTED, assets_of, report_run_failure, started_at
from vsync_dagster.local_db import alerts, leases, reports
from vsync_dagster.local_db.alerts import Alert, Severity
from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.partitions import SyncPartition
from vsync_dagster.reconcile.errors import TransientError
from vsync_dagster.reconcile.status import Status
from vsync_dagster.resources import LocalDatabase, SyncSettings, environment

NAME = "VSyncFailed"


class RunLostError(TransientError):
    """A run ended without a word: its process was killed, or never began."""


@dg.run_failure_sensor(
    name="failed_syncs",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Raises an alert for a sync that failed, and writes the report of one that could not.",
)
def failed_syncs(context: dg.RunFailureSensorContext, local_database: LocalDatabase) -> None:
    """Once a run of a code location; `vsync sync` tells of its own by itself."""
    tell_of_failed(context.instance, context.dagster_run, local_database.database())


@dg.run_status_sensor(
    name="succeeded_syncs",
    run_status=dg.DagsterRunStatus.SUCCESS,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Resolves the alert of a failed sync once its participant's sync has ended well.",
)
def succeeded_syncs(context: dg.RunStatusSensorContext, local_database: LocalDatabase) -> None:
    """Only a run that has a report is a sync: one asset by itself proves nothing."""
    tell_of_ended(context.dagster_run.run_id, local_database.database())


def tell_of_failed(instance: dg.DagsterInstance, run: dg.DagsterRun, database: Database) -> None:
    """Raise the alert of a run that failed; one whose process died has no report yet, and gets its only one here."""
    if "dagster/partition" not in run.tags or NOT_STARTED in run.tags:
        return
    partition = SyncPartition.parse(run.tags["dagster/partition"])
    if database.retrying(lambda connection: reports.of_run(connection, run.run_id)) is None:
        report_run_failure(
            run_id=run.run_id,
            partition=partition,
            assets=assets_of(run),
            settings=_settings(run),
            started_at=started_at(instance, run.run_id),
            error=RunLostError("the run's process was killed or never began; run it again"),
            guard=lambda connection: leases.shut_out(connection, run.run_id),
        )
    if not _starts_again(instance, run):
        raise_failed(partition, run.run_id, database)


def tell_of_ended(run_id: str, database: Database) -> None:
    """Resolve the alert of a participant whose last sync has ended well; a run that was no sync resolves nothing.

    Such are a dry run, and one that repeats a part of another's sync and proves nothing by itself.
    """

    def resolve(connection: Connection) -> None:
        report = reports.of_run(connection, run_id)
        if report is None or report.dry_run:
            return
        last = reports.last_sync(connection, report.participant_ispb)
        if last is not None and last.status != Status.FAILED:
            alerts.resolve(connection, f"{NAME}/{report.participant_ispb}")

    database.retrying(resolve)


def raise_failed(partition: SyncPartition, run_id: str, database: Database) -> None:
    """Raise the alert of a sync that failed, unless a later one of the participant did not; a dry run is none."""

    def write(connection: Connection) -> None:
        report = reports.of_run(connection, run_id)
        if report is not None and report.dry_run:
            return
        # The sensors come late, and not in the order in which runs have ended.
        last = reports.last_sync(connection, partition.ispb)
        if last is not None and last.status != Status.FAILED:
            return
        alert = Alert(
            fingerprint=f"{NAME}/{partition.ispb}",
            name=NAME,
            severity=Severity.CRITICAL,
            title=f"{partition.ispb}: the sync of {partition.day} has failed",
            text=(report.error_message if report else None) or "its log in Dagster says why",
            link=environment().run_link(run_id),
            labels={"ispb": partition.ispb},
        )
        alerts.raise_alert(connection, alert)

    database.retrying(write)


def _starts_again(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether Dagster's daemon runs it again. Its tag says so also of runs that it then leaves as they are.

    Those are what no code location has begun, and what is left of a backfill that is at its end, as one of Dagster's
    command line is from the beginning.
    """
    if run.tags.get("dagster/will_retry") != "true" or run.remote_job_origin is None:
        return False
    if "dagster/backfill" not in run.tags:
        return True
    backfill = instance.get_backfill(run.tags["dagster/backfill"])
    return backfill is not None and backfill.status.value == "REQUESTED"


def _settings(run: dg.DagsterRun) -> SyncSettings:
    config: dict[str, Any] = dict(run.run_config)
    return SyncSettings(**config.get("resources", {}).get("settings", {}).get("config", {}))
