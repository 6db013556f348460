"""Deletes, once a day, what need be kept no longer: rows, snapshots, and Dagster's own runs."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
from pydantic import Field

from vsync_dagster.local_db import retention as database_retention
from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.retention import KeptFor
from vsync_dagster.reconcile.calendar import TIMEZONE, day_of
from vsync_dagster.resources import RetentionDatabase, Snapshots
from vsync_dagster.store import SnapshotStore

_log = logging.getLogger(__name__)

RUNS_AT_ONCE = 100
# Longer than a sync may take: what is older and in no manifest was replaced, or given up.
SNAPSHOT_IDLE = timedelta(days=2)
_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


class RetentionSettings(dg.Config):
    """How long, in days, is kept what no rule gives a time for. Reports and the trail: seven years, always."""

    snapshot_days: int = Field(default=30, ge=1, description="Snapshots in the store.")
    event_days: int = Field(default=90, ge=1, description="Events in the outbox, after they were published.")
    alert_days: int = Field(default=365, ge=1, description="Alerts, after they were resolved.")
    run_days: int = Field(default=365, ge=1, description="Dagster's runs and their events.")


class Retention:
    """One clean-up: counts what is due, or deletes it. `now` has a zone."""

    def __init__(
        self,
        settings: RetentionSettings,
        database: Database,
        store: SnapshotStore,
        instance: dg.DagsterInstance,
        now: datetime,
    ) -> None:
        self._kept_for = KeptFor(timedelta(days=settings.event_days), timedelta(days=settings.alert_days))
        self._database = database
        self._store = store
        self._instance = instance
        self._oldest_day = day_of(now) - timedelta(days=settings.snapshot_days)
        self._idle_since = now - SNAPSHOT_IDLE
        self._runs = dg.RunsFilter(statuses=_ENDED, created_before=now - timedelta(days=settings.run_days))

    def due(self) -> dict[str, int]:
        """Return how much would be deleted: rows by table, folders of snapshots, runs."""
        with self._database.connect(bulk=True) as connection:
            rows = database_retention.due(connection, self._kept_for)
        folders = self._store.outdated(self._oldest_day, self._idle_since)
        return {**rows, "snapshots": len(folders), "runs": self._instance.get_runs_count(self._runs)}

    def delete(self) -> Iterator[tuple[str, int]]:
        """Delete what is due, and yield what it was and how much of it."""
        for deleted in database_retention.delete(self._database, self._kept_for):
            yield deleted.table, deleted.rows
        folders = self._store.outdated(self._oldest_day, self._idle_since)
        for folder in folders:
            self._store.remove(folder)
        yield "snapshots", len(folders)
        yield "runs", self._delete_runs()

    def _delete_runs(self) -> int:
        deleted = 0
        while runs := self._instance.get_run_records(self._runs, limit=RUNS_AT_ONCE, ascending=True):
            for record in runs:
                self._instance.delete_run(record.dagster_run.run_id)
            deleted += len(runs)
        return deleted


@dg.op(description="Deletes what need be kept no longer, and says what that was.")
def delete_what_is_due(
    context: dg.OpExecutionContext,
    config: RetentionSettings,
    retention_database: RetentionDatabase,
    snapshots: Snapshots,
) -> None:
    """Delete rows, snapshots and runs; what was deleted is in the op's metadata and in the table retention_log."""
    clean_up = Retention(config, retention_database.database(), snapshots.store(), context.instance, datetime.now(UTC))
    deleted = dict(clean_up.delete())
    _log.info("deleted %s", ", ".join(f"{count} {what}" for what, count in deleted.items()))
    context.add_output_metadata(deleted)


@dg.job(description="Deletes what need be kept no longer, as a login that may do nothing else.")
def retention_job() -> None:
    """Run the clean-up."""
    delete_what_is_due()


retention_schedule = dg.ScheduleDefinition(
    job=retention_job,
    cron_schedule="30 5 * * *",
    execution_timezone=TIMEZONE,
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
