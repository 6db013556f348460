"""The FAILED report of a run that broke off.

When an asset fails, Dagster skips what is downstream of it, so `sync_report` never runs. This hook hangs on each asset
and writes the report instead, which needs no daemon. Where PostgreSQL is what failed, the report waits as a file below
`VSYNC_HOME`, and the next run writes it.
"""

import logging
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import dagster as dg

from vsync_dagster.dict_api.errors import DictUnavailableError
from vsync_dagster.local_db import fixes
from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.partitions import SyncPartition
from vsync_dagster.reconcile.discrepancies import DISCREPANCY_SCHEMA
from vsync_dagster.reconcile.errors import (
    UNEXPECTED,
    BudgetExhaustedError,
    EnvironmentVariableError,
    NotStartedError,
    VsyncError,
    unforeseen,
)
from vsync_dagster.reconcile.status import SyncType
from vsync_dagster.resources import SyncSettings, environment
from vsync_dagster.store import Snapshot, SnapshotMissingError, SnapshotStore
from vsync_dagster.sync.facts import ComparedFacts, DictFacts, FixFacts, LocalFacts
from vsync_dagster.sync.repair import RECORD_SCHEMA
from vsync_dagster.sync.report import Learnt, Origin, RunFacts, failed_report, write_report
from vsync_dagster.sync.spool import spool

_log = logging.getLogger(__name__)

ORDER = ("local_snapshot", "bacen_snapshot", "discrepancies", "applied_fixes", "sync_report")
"""The assets of a sync, each built on the one before."""


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
        assets=assets_of(run),
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
    assets: Collection[str] = ORDER,
    guard: Callable[[Connection], None] | None = None,
) -> None:
    """Write the report, or spool it where that is not possible; never raises what would hide the first error.

    `assets` are those that the run was to materialize; `guard` is the first that the report's transaction does.
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
    resume_at = _resume_at(error, facts.ended_at)
    learnt = _learnt(partition, run_id, assets)
    try:
        database = Database(environment().database_url, guard)
        done = database.retrying(lambda connection: fixes.outcomes(connection, run_id, partition.ispb))
        message = _message(error, _remaining(done, partition.ispb))
        write_report(database, failed_report(facts, message, learnt, done, resume_at))
    except VsyncError as cause:
        variables = environment()
        meant_for = variables.variables.get("VSYNC_DATABASE_URL", "")
        message = _message(error, _remaining(None, partition.ispb))
        path = spool(variables.home, failed_report(facts, message, learnt, None, resume_at), meant_for)
        _log.error("%s: the FAILED report could not be written (%s); it waits in %s", partition.ispb, cause, path)


def assets_of(run: dg.DagsterRun) -> Collection[str]:
    """Return those of the sync's assets that a run was to materialize."""
    if run.step_keys_to_execute:
        return [name for name in ORDER if name in run.step_keys_to_execute]
    if run.asset_selection:
        return [name for name in ORDER if dg.AssetKey(name) in run.asset_selection]
    return ORDER


def _learnt(partition: SyncPartition, run_id: str, assets: Collection[str]) -> Learnt:
    """Return what the snapshots say that the run had learnt; nothing where they cannot be read."""
    try:
        return learn(SnapshotStore(environment().storage_url), partition, run_id, assets)
    except Exception as error:  # noqa: BLE001 - the run's own error is the one to report
        _log.warning("%s: the snapshots cannot be read for the FAILED report: %s", partition.ispb, unforeseen(error))
        return Learnt()


def learn(store: SnapshotStore, partition: SyncPartition, run_id: str, assets: Collection[str]) -> Learnt:
    """Return what a run had learnt by the snapshots of its partition.

    Those of `assets` are the run's own to write: where another run's is found, the run did not come so far. The others
    it worked by, as far as each is built on the one before.
    """
    snapshots = _snapshots(store, partition, run_id, assets)
    local, bacen, compared, fixed = (snapshots.get(name) for name in ORDER[:-1])
    compared_at = bacen.facts(DictFacts).read_until if bacen else None
    return Learnt(
        # How many entries we held is no news from another run.
        local.facts(LocalFacts) if local and "local_snapshot" in assets else None,
        bacen.facts(DictFacts) if bacen else None,
        compared.scan("discrepancies", DISCREPANCY_SCHEMA).collect() if compared else None,
        fixed.scan("fixes", RECORD_SCHEMA).collect() if fixed else None,
        Origin(
            bacen.snapshot_id if bacen else None,
            compared_at,
            fixed.snapshot_id if fixed else None,
            fixed.facts(FixFacts).repaired_at if fixed else None,
        ),
    )


def _snapshots(
    store: SnapshotStore, partition: SyncPartition, run_id: str, assets: Collection[str]
) -> dict[str, Snapshot]:
    found: dict[str, Snapshot] = {}
    for name in ORDER[:-1]:
        try:
            snapshot = store.read(name, partition)
        except SnapshotMissingError:
            break
        before = next(reversed(found.values()), None)
        if (name in assets and _made_by(name, snapshot) != run_id) or not _built_on(name, snapshot, before):
            break
        found[name] = snapshot
    return found


def _made_by(name: str, snapshot: Snapshot) -> str:
    # One that was taken again, whole, has an id of its own.
    return snapshot.facts(LocalFacts).run_id if name == "local_snapshot" else snapshot.snapshot_id


def _built_on(name: str, snapshot: Snapshot, before: Snapshot | None) -> bool:
    if before is None:
        return name == "local_snapshot"
    named = {
        "bacen_snapshot": lambda: snapshot.facts(DictFacts).local_snapshot,
        "discrepancies": lambda: snapshot.facts(ComparedFacts).bacen_snapshot,
        "applied_fixes": lambda: snapshot.facts(FixFacts).discrepancies,
    }
    return named[name]() == before.snapshot_id


def _remaining(done: Mapping[tuple[str, str], int] | None, ispb: str) -> str:
    """Return what a sync that broke off has changed, by kind and outcome of its fixes, and what stays to be done."""
    again = f"then run `vsync sync --ispb {ispb}` again"
    if done is None:
        return f"what it had changed by then is not known; {again}"
    applied = sum(count for (_, outcome), count in done.items() if outcome == "APPLIED")
    return f"fixes applied before it: {applied}, which stay; {again}" if applied else f"no key was changed; {again}"


def safe_text(error: BaseException | None, remaining: str) -> str:
    """Return an error's text if it holds no personal data, else its class; what remains to be done; and a link."""
    if not isinstance(error, VsyncError | UnexpectedError):
        error = UnexpectedError(f"{type(error).__name__}; see the run's log")
    return f"{error}; {remaining} (see {environment().message_link(error)})"


def _message(error: BaseException | None, remaining: str) -> str:
    return "; ".join(filter(None, (_remark(), safe_text(error, remaining))))


def _remark() -> str | None:
    """Return what the report says of the whole run, if the variables can be read: they may be what it failed over."""
    with suppress(EnvironmentVariableError):
        return environment().why_unverified
    return None


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
