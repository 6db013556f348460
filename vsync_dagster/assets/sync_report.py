"""`sync_report`: what happened, proven."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import dagster as dg
import polars as pl

from vsync_dagster.assets.applied_fixes import applied_fixes
from vsync_dagster.assets.common import asset_of_sync, partition_of
from vsync_dagster.dict_api.calls import CLOCK_TOLERANCE
from vsync_dagster.failure import started_at
from vsync_dagster.local_db import calls
from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.reports import Report
from vsync_dagster.partitions import SyncPartition
from vsync_dagster.reconcile.discrepancies import DISCREPANCY_SCHEMA
from vsync_dagster.reconcile.errors import BudgetExhaustedError
from vsync_dagster.reconcile.remarks import remarks, rules
from vsync_dagster.resources import DictApi, EventBroker, LocalDatabase, Snapshots, SyncSettings
from vsync_dagster.store import Snapshot, SnapshotMismatchError, SnapshotStore
from vsync_dagster.sync.facts import ComparedFacts, DictFacts, FixFacts, LocalFacts
from vsync_dagster.sync.proof import Prover
from vsync_dagster.sync.repair import RECORD_SCHEMA
from vsync_dagster.sync.report import (
    KeyTypeOutcome,
    Origin,
    RunFacts,
    build_report,
    count_pending,
    with_remark,
    write_report,
)
from vsync_dagster.sync.verification import LocalSet, Verdict

_log = logging.getLogger(__name__)


@asset_of_sync(kinds={"postgres", "pulsar"}, deps=[applied_fixes], pool="bacen_dict")
def sync_report(
    context: dg.AssetExecutionContext,
    local_database: LocalDatabase,
    dict_api: DictApi,
    snapshots: Snapshots,
    event_broker: EventBroker,
    settings: SyncSettings,
) -> dg.MaterializeResult[None]:
    """Computes the VSyncs of what was repaired again, sends them to DICT, and writes down what was proved.

    A key under review stays in our base and not in DICT's, so the verifier to send is that of our set without those
    keys: OK then proves that nothing else differs.

    Each run writes a report of its own; a report is never changed. It proves what its own run has asked DICT: where
    another run has read our base or compared, DICT is asked about all key types. The differences are then those that
    the other run found, which the report names; its fixes are counted in its own report.
    """
    partition, database, run_id = partition_of(context), local_database.database(), context.run.run_id
    sync = _Sync.read(snapshots.store(), partition, run_id, settings)
    proved, resume_at = _prove(sync, partition, database, dict_api, run_id, settings)
    run = RunFacts(
        report_id=uuid4(),
        run_id=run_id,
        partition=partition,
        sync_type=sync.local.sync_type,
        started_at=sync.local.started_at if sync.local.run_id == run_id else started_at(context.instance, run_id),
        ended_at=datetime.now(UTC),
        dry_run=sync.dry_run,
    )
    report = build_report(
        run, _outcomes(sync, proved), sync.discrepancies, sync.fixes, sync.bacen.plan, resume_at, sync.origin
    )
    report = with_remark(report, dict_api.why_unverified)
    write_report(database, report)
    _log.info("%s: %s; report %s", partition.ispb, report.status, report.id)
    published = event_broker.publish(database) if settings.publish else None
    return dg.MaterializeResult(
        metadata={
            **_metadata(report),
            **_clock(database, report.run_id),
            **({"events_published": published.published} if published else {}),
        }
    )


@dataclass(frozen=True, slots=True)
class _Sync:
    """What the assets before wrote down, once it is clear that all of it belongs together."""

    local: LocalFacts
    bacen: DictFacts
    discrepancies: pl.DataFrame
    fixes: pl.DataFrame
    dry_run: bool
    origin: Origin
    compared_here: bool
    """Whether this run has read our base and compared it by itself."""

    @classmethod
    def read(cls, store: SnapshotStore, partition: SyncPartition, run_id: str, settings: SyncSettings) -> "_Sync":
        local, bacen, compared, fixed = (
            store.read(name, partition)
            for name in ("local_snapshot", "bacen_snapshot", "discrepancies", "applied_fixes")
        )
        dict_facts, fix_facts = bacen.facts(DictFacts), fixed.facts(FixFacts)
        _check_built_on(dict_facts.local_snapshot, local, "bacen_snapshot")
        _check_built_on(compared.facts(ComparedFacts).bacen_snapshot, bacen, "discrepancies")
        _check_built_on(fix_facts.discrepancies, compared, "applied_fixes")
        local_facts = local.facts(LocalFacts)
        return cls(
            local_facts,
            dict_facts,
            compared.scan("discrepancies", DISCREPANCY_SCHEMA).collect(),
            fixed.scan("fixes", RECORD_SCHEMA).collect(),
            fix_facts.dry_run or settings.dry_run,
            Origin(bacen.snapshot_id, dict_facts.read_until, fixed.snapshot_id, fix_facts.repaired_at),
            local_facts.run_id == bacen.snapshot_id == run_id,
        )

    def key_types_to_prove(self) -> list[str]:
        """Those that were not in sync, and those in which anything was touched; all, if another run has compared."""
        if not self.compared_here:
            return list(self.bacen.key_types)
        touched = set(self.fixes["key_type"].to_list())
        return [name for name, facts in self.bacen.key_types.items() if facts.proof is None or name in touched]

    @property
    def pending(self) -> int:
        """How many differences wait for DICT's budgets."""
        return count_pending(self.discrepancies, self.fixes)


def _check_built_on(snapshot_id: str, snapshot: Snapshot, asset: str) -> None:
    if snapshot_id != snapshot.snapshot_id:
        raise SnapshotMismatchError(f"{asset} was built on a snapshot that was replaced since: materialize it again")


def _prove(
    sync: _Sync,
    partition: SyncPartition,
    database: Database,
    dict_api: DictApi,
    run_id: str,
    settings: SyncSettings,
) -> tuple[Mapping[str, tuple[LocalSet, Verdict] | None], datetime | None]:
    """Return what was proved of which set, and from when on another sync can go on, if DICT's budgets have ended."""
    key_types = [] if sync.dry_run else sync.key_types_to_prove()
    not_compared = sync.bacen.not_compared()
    if not (key_types or sync.pending or not_compared):
        return {}, None
    with dict_api.connect(database, partition.ispb, run_id) as connection:
        prover = Prover(
            connection.client, database, partition.ispb, sync.local, settings.log_lag_seconds, settings.sleep
        )
        ended = bool(sync.pending or not_compared)
        try:
            proved: Mapping[str, tuple[LocalSet, Verdict] | None] = prover.prove(key_types, sync.bacen.read_until)
        except BudgetExhaustedError as error:
            _log.warning("%s: %s", partition.ispb, error)
            proved, ended = dict.fromkeys(key_types), True
        seconds = connection.allowance.seconds_to_resume(
            look_ups=sync.pending, not_compared=not_compared, to_prove=len(key_types)
        )
    return proved, datetime.now(UTC) + timedelta(seconds=seconds) if ended else None


def _outcomes(sync: _Sync, proved: Mapping[str, tuple[LocalSet, Verdict] | None]) -> dict[str, KeyTypeOutcome]:
    return {name: _outcome(sync, name, proved) for name in sync.bacen.key_types}


def _outcome(sync: _Sync, name: str, proved: Mapping[str, tuple[LocalSet, Verdict] | None]) -> KeyTypeOutcome:
    before, ours = sync.bacen.key_types[name], sync.local.sets[name] if sync.compared_here else None
    outcome = KeyTypeOutcome(
        ours,
        before.proof,
        before.source,
        before.proof,
        before.request_id_alone,
        pending_because=before.pending_because,
        contradiction=before.contradiction,
    )
    if (answer := proved.get(name)) is not None:
        ours, verdict = answer
        return replace(outcome, ours=ours, after=verdict.proof)
    if name in proved or not sync.compared_here:
        return replace(outcome, after=None, asked=False)
    return outcome


def _record(key_type: str, told: Mapping[str, Any]) -> dg.TableRecord:
    broken = ", ".join(f"{rule}: {count}" for rule, count in told["broken_rules"].items())
    return dg.TableRecord({"key_type": key_type, **told, "broken_rules": broken})


def _sum(counts: Iterable[int | None]) -> int | None:
    """Return the sum; None where one is not known."""
    known = list(counts)
    return None if None in known else sum(count or 0 for count in known)


def _list(sentences: Iterable[object]) -> str:
    return "\n".join(f"* {sentence}" for sentence in sentences)


def _clock(database: Database, run_id: str) -> dict[str, float]:
    """Return by how much our clock and DICT's differed, where that is worth a look."""
    seconds = database.retrying(lambda connection: calls.clock_difference(connection, run_id))
    wrong = seconds is not None and seconds > CLOCK_TOLERANCE.total_seconds()
    return {"clock_difference_seconds": seconds} if seconds is not None and wrong else {}


def _metadata(report: Report) -> dict[str, dg.MetadataValue | int | float | str | bool]:
    key_types = [_record(name, told) for name, told in report.key_types.items()]
    figures: dict[str, int | None] = {
        "entries_synced": report.entries_synced,
        "entries_created": report.entries_created,
        "entries_updated": report.entries_updated,
        "entries_for_review": report.entries_deleted,
        "discrepancies": report.discrepancies,
        "missing_local": report.missing_local,
        "outdated_local": report.outdated_local,
        "missing_bacen": report.missing_bacen,
        "in_flight": report.in_flight,
        "fixes_failed": report.fixes_failed,
        "pending": report.pending,
        "request_id_alone": _sum(told["request_id_alone"] for told in report.key_types.values()),
    }
    return {
        "report_id": str(report.id),
        "run": dg.MetadataValue.dagster_run(report.run_id),
        "status": report.status,
        "verified": report.verified,
        "duration_seconds": report.duration_ms / 1000,
        **{name: "-" if value is None else value for name, value in figures.items()},
        **_origin_metadata(report),
        "broken_rules": dg.MetadataValue.json(rules(report.key_types)),
        **({"remarks": dg.MetadataValue.md(_list(remarks(report.key_types)))} if remarks(report.key_types) else {}),
        **({"resume_at": report.resume_at.isoformat()} if report.resume_at else {}),
        "by_key_type": dg.MetadataValue.table(key_types),
        **({"error_message": report.error_message} if report.error_message else {}),
    }


def _origin_metadata(report: Report) -> dict[str, dg.MetadataValue]:
    """Return the runs whose figures the report shows, where they are not its own."""
    runs = {"compared_by": report.compared_by, "repaired_by": report.repaired_by}
    return {name: dg.MetadataValue.dagster_run(run) for name, run in runs.items() if run and run != report.run_id}
