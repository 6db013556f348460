"""Materializing a partition from outside Dagster's UI: what `vsync sync` does."""

import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from typing import Any
from uuid import uuid4

import dagster as dg
from dagster_postgres.utils import DagsterPostgresException
from sqlalchemy.exc import SQLAlchemyError

from vsync_dagster.definitions import defs
from vsync_dagster.environment import Environment
from vsync_dagster.failure import report_run_failure
from vsync_dagster.jobs import SYNC_JOB
from vsync_dagster.local_db import reports
from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.errors import DatabaseUnavailableError
from vsync_dagster.local_db.reports import Report
from vsync_dagster.partitions import SyncPartition, open_partitions_for
from vsync_dagster.reconcile.errors import VsyncError
from vsync_dagster.resources import SyncSettings
from vsync_dagster.sync.spool import spooled

# What Dagster's PostgreSQL storage raises when the server is not there, or goes away.
_STORAGE_ERRORS = (SQLAlchemyError, DagsterPostgresException)


def dagster_instance(variables: Environment) -> dg.DagsterInstance:
    """Return the Dagster instance of DAGSTER_HOME; without one, an instance below VSYNC_HOME is made.

    Raises:
        DatabaseUnavailableError: Dagster's storage does not answer.
    """
    if not os.environ.get("DAGSTER_HOME"):
        home = variables.home / "dagster"
        home.mkdir(parents=True, exist_ok=True)
        with resources.as_file(resources.files("vsync_dagster") / "dagster.yaml") as settings:
            shutil.copyfile(settings, home / "dagster.yaml")
        os.environ["DAGSTER_HOME"] = str(home)
    try:
        return dg.DagsterInstance.get()
    except _STORAGE_ERRORS:
        raise DatabaseUnavailableError("Dagster's storage does not answer; try again when PostgreSQL is up") from None


@dataclass(frozen=True, slots=True)
class Launcher:
    """Runs the sync job in this process, on a Dagster instance."""

    variables: Environment
    instance: Callable[[Environment], AbstractContextManager[dg.DagsterInstance]] = dagster_instance

    def sync(self, partition: SyncPartition, settings: SyncSettings) -> Report:
        """Materialize the partition's five assets and return the report of that run, which exists in every case."""
        started_at = datetime.now(UTC)
        run_id = str(uuid4())
        try:
            with self.instance(self.variables) as instance:
                open_partitions_for(instance, [partition.ispb])
                run_id = _run(instance, partition, settings)
                return self._report(run_id)
        except (*_STORAGE_ERRORS, VsyncError) as error:
            # The run broke off without its own report: Dagster's storage, which is PostgreSQL too, has failed.
            cause = error if isinstance(error, VsyncError) else DatabaseUnavailableError("Dagster's storage has failed")
            report_run_failure(
                run_id=run_id, partition=partition, settings=settings, started_at=started_at, error=cause
            )
            return self._report(run_id)

    def _report(self, run_id: str) -> Report:
        waiting = spooled(self.variables.home, run_id)
        if waiting is not None:
            return waiting
        database = Database(self.variables.database_url)
        report = database.retrying(lambda connection: reports.of_run(connection, run_id))
        if report is None:
            raise DatabaseUnavailableError(f"run {run_id} left no report; its log in Dagster says why")
        return report


def _run(instance: dg.DagsterInstance, partition: SyncPartition, settings: SyncSettings) -> str:
    result = defs.resolve_job_def(SYNC_JOB).execute_in_process(
        instance=instance,
        partition_key=partition.key,
        run_config=_run_config(settings),
        raise_on_error=False,
    )
    return result.run_id


def _run_config(settings: SyncSettings) -> Mapping[str, Any]:
    return {
        "resources": {"settings": {"config": settings.model_dump(exclude_none=True)}},
        # What a person wants to see is our own progress; all of Dagster's events are in its UI.
        "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
    }
