"""The FAILED report of a run that broke off.

When an asset fails, Dagster skips what is downstream of it, so `sync_report` never runs. This hook hangs on each asset
and writes the report instead, which needs no daemon. Where PostgreSQL is what failed, the report waits as a file below
`VSYNC_HOME`, and the next run writes it.
"""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import dagster as dg

from vsync_dagster.dict_api.errors import DictUnavailableError
from vsync_dagster.local_db import fixes
from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.partitions import SyncPartition
from vsync_dagster.reconcile.errors import UNEXPECTED, BudgetExhaustedError, NotStartedError, VsyncError
from vsync_dagster.reconcile.status import SyncType
from vsync_dagster.resources import SyncSettings, environment
from vsync_dagster.sync.report import RunFacts, failed_report, write_report
from vsync_dagster.sync.spool import spool

_log = logging.getLogger(__name__)


NOT_STARTED = "vsync/not_started"
"""The tag of a run that was refused before it began: it has no report, and raises no alert."""

# Dagster's own two tags keep its daemon from starting the run again, whatever `dagster.yaml` says.
NOT_STARTED_TAGS = {NOT_STARTED: "true", "dagster/max_retries": "0", "dagster/retry_on_asset_or_op_failure": "false"}


class UnexpectedError(Exception):
    """Something nobody foresaw; its class is told, its text is not, since it can quote a key."""

    code = UNEXPECTED


@dg.failure_hook(name="report_failure", required_resource_keys={"settings"})
def report_failure(context: dg.HookContext) -> None:
    """Write the FAILED report of the run; one a run, whatever fails after it. None of a run that was never started."""
    run = context.instance.get_run_by_id(context.run_id)
    if run is None or "dagster/partition" not in run.tags:
        return
    if isinstance(context.op_exception, NotStartedError):
        context.instance.add_run_tags(context.run_id, NOT_STARTED_TAGS)
        return
    report_run_failure(
        run_id=context.run_id,
        partition=SyncPartition.parse(run.tags["dagster/partition"]),
        settings=context.resources.settings,
        started_at=started_at(context.instance, context.run_id),
        error=context.op_exception,
    )


def report_run_failure(
    *,
    run_id: str,
    partition: SyncPartition,
    settings: SyncSettings,
    started_at: datetime,
    error: BaseException | None,
    guard: Callable[[Connection], None] | None = None,
) -> None:
    """Write the report, or spool it where that is not possible; never raises what would hide the first error.

    `guard` is the first that the report's transaction does.
    """
    facts = RunFacts(
        report_id=uuid4(),
        run_id=run_id,
        partition=partition,
        sync_type=_sync_type(settings),
        started_at=started_at,
        ended_at=datetime.now(UTC),
        dry_run=settings.dry_run,
    )
    message, resume_at = safe_text(error), _resume_at(error, facts.ended_at)
    try:
        database = Database(environment().database_url, guard)
        done = database.retrying(lambda connection: fixes.outcomes(connection, run_id, partition.ispb))
        write_report(database, failed_report(facts, message, done, resume_at))
    except VsyncError as cause:
        path = spool(environment().home, failed_report(facts, message, {}, resume_at))
        _log.error("%s: the FAILED report could not be written (%s); it waits in %s", partition.ispb, cause, path)


def safe_text(error: BaseException | None) -> str:
    """Return an error's text if it is one that holds no personal data, else its class; and the link to what to do."""
    if not isinstance(error, VsyncError | UnexpectedError):
        error = UnexpectedError(f"{type(error).__name__}; see the run's log")
    return environment().with_link(error)


def _resume_at(error: BaseException | None, now: datetime) -> datetime | None:
    """Return when DICT asked to be called again, or has tokens again, if that is what ended the run."""
    if isinstance(error, BudgetExhaustedError):
        return now + timedelta(seconds=error.wait_seconds)
    return error.retry_at if isinstance(error, DictUnavailableError) else None


def _sync_type(settings: SyncSettings) -> SyncType:
    try:
        return settings.type
    except VsyncError:  # the very setting that the run failed on
        return SyncType.INCREMENTAL


def started_at(instance: dg.DagsterInstance, run_id: str) -> datetime:
    """Return when a run started, in UTC; now, where it never did."""
    record = instance.get_run_record_by_id(run_id)
    if record is None or record.start_time is None:
        return datetime.now(UTC)
    return datetime.fromtimestamp(record.start_time, UTC)
