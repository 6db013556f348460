"""Materializing a partition from outside Dagster's UI: what `vsync sync` does."""

import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
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
from vsync_dagster.failure import NOT_STARTED, report_run_failure
from vsync_dagster.jobs import SYNC_JOB
from vsync_dagster.local_db import reports
from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.errors import (
    DatabaseError,
    DatabaseUnavailableError,
    NotAllowedError,
    connection_failure,
)
from vsync_dagster.local_db.reports import Report
from vsync_dagster.partitions import SyncPartition, open_partitions_for
from vsync_dagster.preflight import check_startable, not_started
from vsync_dagster.reconcile.errors import (
    EnvironmentVariableError,
    InvalidInputError,
    NotStartedError,
    TransientError,
    VsyncError,
)
from vsync_dagster.resources import SyncSettings
from vsync_dagster.sync.spool import spooled

# What Dagster's PostgreSQL storage raises when the server is not there, or goes away.
_STORAGE_ERRORS = (SQLAlchemyError, DagsterPostgresException)
# No right on the schema `dagster`, which then is as if it were not there, or on its tables.
_NO_RIGHTS = frozenset({"42501", "3F000", "42P01"})


def storage_error(error: BaseException, variable: str) -> VsyncError:
    """Return the error of ours for what Dagster's storage failed over: the way to the server, the login, or its rights.

    Args:
        error: what Dagster or SQLAlchemy raised, with the driver's error among its causes.
        variable: the environment variable that the storage's URL is from.
    """
    cause: BaseException | None = error
    while cause is not None:
        driver = getattr(cause, "orig", None) or cause
        sqlstate = getattr(driver, "pgcode", None)
        if sqlstate in _NO_RIGHTS:
            return NotAllowedError(
                f"the login of {variable} has no rights on Dagster's tables: run `vsync migrate` and"
                " `vsync roles apply` as their owner, and grant it vsync_application"
            )
        if sqlstate is not None:
            return DatabaseError(
                f"Dagster's storage refuses a statement (SQLSTATE {sqlstate}): after an upgrade run `dagster instance"
                " migrate`"
            )
        if hasattr(driver, "pgcode"):
            return connection_failure(str(driver), variable)
        cause = cause.__cause__ or cause.__context__
    return DatabaseUnavailableError(f"Dagster's storage at {variable} has failed; try again when PostgreSQL is up")


def dagster_instance(variables: Environment) -> dg.DagsterInstance:
    """Return the Dagster instance of DAGSTER_HOME; without one, an instance below VSYNC_HOME is made.

    Raises:
        DatabaseUnavailableError: Dagster's storage does not answer.
        DatabaseError: it lets the login not in, or not do what it must.
    """
    if not os.environ.get("DAGSTER_HOME"):
        home = variables.home / "dagster"
        try:
            home.mkdir(parents=True, exist_ok=True)
            with resources.as_file(resources.files("vsync_dagster") / "dagster.yaml") as settings:
                shutil.copyfile(settings, home / "dagster.yaml")
        except OSError as error:
            raise EnvironmentVariableError(
                f"VSYNC_HOME cannot be written ({error.strerror}): name a folder that can, or set DAGSTER_HOME"
            ) from None
        os.environ["DAGSTER_HOME"] = str(home)
    try:
        return dg.DagsterInstance.get()
    except _STORAGE_ERRORS as error:
        raise storage_error(error, variables.dagster_database_variable) from None


@dataclass(frozen=True, slots=True)
class Launcher:
    """Runs the sync job in this process, on a Dagster instance."""

    variables: Environment
    instance: Callable[[Environment], AbstractContextManager[dg.DagsterInstance]] = dagster_instance

    def sync(self, partition: SyncPartition, settings: SyncSettings) -> Report:
        """Materialize the partition's five assets and return the report of that run.

        Raises:
            NotStartedError: the sync was refused before it began; nothing was written.
        """
        started_at = datetime.now(UTC)
        run_id = str(uuid4())
        with not_started():
            settings.check()
        try:
            # Where PostgreSQL fails, the run does too, and reports it.
            with suppress(TransientError, DatabaseError):
                check_startable(self.variables, partition, started_at)
            with self.instance(self.variables) as instance:
                open_partitions_for(instance, [partition.ispb])
                run_id = _run(instance, partition, settings)
                _raise_if_not_started(instance, run_id)
                return self._report(run_id)
        except InvalidInputError:
            raise
        except (*_STORAGE_ERRORS, VsyncError) as error:
            # The run broke off without its own report: Dagster's storage, which is PostgreSQL too, has failed.
            variable = self.variables.dagster_database_variable
            cause = error if isinstance(error, VsyncError) else storage_error(error, variable)
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


def _raise_if_not_started(instance: dg.DagsterInstance, run_id: str) -> None:
    run = instance.get_run_by_id(run_id)
    if run is not None and NOT_STARTED in run.tags:
        raise NotStartedError(f"run {run_id} was refused before it began; its log in Dagster says why")


def _run_config(settings: SyncSettings) -> Mapping[str, Any]:
    return {
        "resources": {"settings": {"config": settings.model_dump(exclude_none=True)}},
        # What a person wants to see is our own progress; all of Dagster's events are in its UI.
        "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
    }
