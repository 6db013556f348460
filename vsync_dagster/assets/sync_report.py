"""`sync_report`: what happened, proven."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import dagster as dg
import polars as pl

from vsync_dagster.assets.applied_fixes import applied_fixes
from vsync_dagster.assets.common import asset_of_sync, partition_of
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
from vsync_dagster.sync.report import KeyTypeOutcome, RunFacts, build_report, count_pending, write_report
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

    Each run writes a report of its own; a report is never changed.
    """
    step_started_at = datetime.now(UTC)
    partition, database = partition_of(context), local_database.database()
    sync = _Sync.read(snapshots.store(), partition)
    proved, resume_at = _prove(sync, partition, database, dict_api, context.run.run_id, settings)
    # Materialized by itself, the asset reports on a run that has just begun.
    whole_run = sync.local.run_id == context.run.run_id
    run = RunFacts(
        report_id=uuid4(),
        run_id=context.run.run_id,
        partition=partition,
        sync_type=sync.local.sync_type,
        started_at=sync.local.started_at if whole_run else step_started_at,
        ended_at=datetime.now(UTC),
        dry_run=sync.dry_run,
    )
    report = build_report(run, _outcomes(sync, proved), sync.discrepancies, sync.fixes, sync.bacen.plan, resume_at)
    write_report(database, report)
    _log.info("%s: %s; report %s", partition.ispb, report.status, report.id)
    published = event_broker.publish(database) if settings.publish else None
    return dg.MaterializeResult(
        metadata={**_metadata(report), **({"events_published": published.published} if published else {})}
    )


@dataclass(frozen=True, slots=True)
class _Sync:
    """What the assets before wrote down, once it is clear that all of it belongs together."""

    local: LocalFacts
    bacen: DictFacts
    discrepancies: pl.DataFrame
    fixes: pl.DataFrame
    dry_run: bool

    @classmethod
    def read(cls, store: SnapshotStore, partition: SyncPartition) -> "_Sync":
        local, bacen, compared, fixed = (
            store.read(name, partition)
            for name in ("local_snapshot", "bacen_snapshot", "discrepancies", "applied_fixes")
        )
        dict_facts, fix_facts = bacen.facts(DictFacts), fixed.facts(FixFacts)
        _check_built_on(dict_facts.local_snapshot, local, "bacen_snapshot")
        _check_built_on(compared.facts(ComparedFacts).bacen_snapshot, bacen, "discrepancies")
        _check_built_on(fix_facts.discrepancies, compared, "applied_fixes")
        return cls(
            local.facts(LocalFacts),
            dict_facts,
            compared.scan("discrepancies", DISCREPANCY_SCHEMA).collect(),
            fixed.scan("fixes", RECORD_SCHEMA).collect(),
            fix_facts.dry_run,
        )

    def key_types_to_prove(self) -> list[str]:
        """Those that were not in sync, and those in which anything was touched."""
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
) -> tuple[dict[str, tuple[LocalSet, Verdict]], datetime | None]:
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
            proved = prover.prove(key_types, sync.bacen.read_until)
        except BudgetExhaustedError as error:
            _log.warning("%s: %s", partition.ispb, error)
            proved, ended = {name: _unproved(sync, name) for name in key_types}, True
        seconds = connection.allowance.seconds_to_resume(
            look_ups=sync.pending, not_compared=not_compared, to_prove=len(key_types)
        )
    return proved, datetime.now(UTC) + timedelta(seconds=seconds) if ended else None


def _unproved(sync: _Sync, key_type: str) -> tuple[LocalSet, Verdict]:
    return sync.local.sets[key_type], Verdict(key_type, None, None, frozenset(), sync.bacen.read_until)


def _outcomes(sync: _Sync, proved: Mapping[str, tuple[LocalSet, Verdict]]) -> dict[str, KeyTypeOutcome]:
    outcomes = {}
    for name, before in sync.bacen.key_types.items():
        ours, after = sync.local.sets[name], before.proof
        if name in proved:
            ours, verdict = proved[name]
            after = verdict.proof
        outcomes[name] = KeyTypeOutcome(ours, before.proof, before.source, after, before.request_id_alone)
    return outcomes


def _record(key_type: str, told: Mapping[str, Any]) -> dg.TableRecord:
    broken = ", ".join(f"{rule}: {count}" for rule, count in told["broken_rules"].items())
    return dg.TableRecord({"key_type": key_type, **told, "broken_rules": broken})


def _list(sentences: Iterable[object]) -> str:
    return "\n".join(f"* {sentence}" for sentence in sentences)


def _metadata(report: Report) -> dict[str, dg.MetadataValue | int | float | str | bool]:
    key_types = [_record(name, told) for name, told in report.key_types.items()]
    return {
        "report_id": str(report.id),
        "run": dg.MetadataValue.dagster_run(report.run_id),
        "status": report.status,
        "verified": report.verified,
        "duration_seconds": report.duration_ms / 1000,
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
        "request_id_alone": sum(told["request_id_alone"] for told in report.key_types.values()),
        "broken_rules": dg.MetadataValue.json(rules(report.key_types)),
        **({"remarks": dg.MetadataValue.md(_list(remarks(report.key_types)))} if remarks(report.key_types) else {}),
        **({"resume_at": report.resume_at.isoformat()} if report.resume_at else {}),
        "by_key_type": dg.MetadataValue.table(key_types),
        **({"error_message": report.error_message} if report.error_message else {}),
    }
