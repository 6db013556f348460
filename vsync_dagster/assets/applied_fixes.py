"""`applied_fixes`: what we changed. The only asset that changes keys."""

import logging
import time
from collections import Counter
from datetime import UTC, datetime

import dagster as dg
import polars as pl

from vsync_dagster.assets.common import asset_of_sync, partition_of
from vsync_dagster.assets.discrepancies import discrepancies
from vsync_dagster.local_db import review
from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.fixes import FixRecord
from vsync_dagster.partitions import SyncPartition
from vsync_dagster.reconcile.discrepancies import DISCREPANCY_SCHEMA, LOCAL_ONLY_SCHEMA, SETTLED
from vsync_dagster.resources import DictApi, LocalDatabase, Snapshots, SyncSettings
from vsync_dagster.store import Snapshot, SnapshotMismatchError
from vsync_dagster.sync.facts import ComparedFacts, DictFacts, FixFacts, LocalFacts
from vsync_dagster.sync.gate import check_mass_change
from vsync_dagster.sync.repair import RemovalWatch, Repair, planned, record_frame
from vsync_dagster.sync.returned import returned_cids

_log = logging.getLogger(__name__)


@asset_of_sync(kinds={"postgres", "parquet"}, deps=[discrepancies], pool="core_db")
def applied_fixes(
    context: dg.AssetExecutionContext,
    local_database: LocalDatabase,
    dict_api: DictApi,
    snapshots: Snapshots,
    settings: SyncSettings,
) -> dg.MaterializeResult[None]:
    """Creates what is missing here, updates what is outdated, and puts keys that only we hold up for review.

    Each row is looked at a second time in the transaction that changes it: only what is still as it was compared is
    changed. Nothing is ever deleted. More changes than a sync may make unasked are refused before the first.

    Rebuilding it repairs again by the same comparison: what is repaired already stays as it is.
    """
    partition, store = partition_of(context), snapshots.store()
    bacen, compared = store.read("bacen_snapshot", partition), store.read("discrepancies", partition)
    if compared.facts(ComparedFacts).bacen_snapshot != bacen.snapshot_id:
        raise SnapshotMismatchError("discrepancies belong to another bacen_snapshot: materialize them again")
    differences = compared.scan("discrepancies", DISCREPANCY_SCHEMA).filter(~pl.col("in_flight")).collect()
    todo = differences.filter(SETTLED)
    if not settings.dry_run:
        database, local = local_database.database(), store.read("local_snapshot", partition)
        ours = local.facts(LocalFacts).sets.values()
        limit, permission = settings.mass_change_limit, settings.mass_change_permission
        check_mass_change(database, context.run.run_id, partition, differences, ours, limit, permission)
        _close_answered(database, context.run.run_id, partition, local, bacen)
    if settings.dry_run or todo.is_empty():
        records = planned(todo)
    else:
        records = _repair(
            context.run.run_id, partition, todo, bacen.facts(DictFacts), local_database, dict_api, settings
        )
    with store.write("applied_fixes", partition, context.run.run_id) as snapshot:
        snapshot.table("fixes").write(record_frame(records))
        snapshot.facts = FixFacts(compared.snapshot_id, settings.dry_run, datetime.now(UTC))
    outcomes = Counter(f"{record.kind}_{record.outcome}".lower() for record in records)
    broken_rules = Counter(rule for record in records for rule in record.broken_rules)
    for rule, count in broken_rules.items():
        _log.warning(
            "%s: %d entries are applied as DICT has signed them, though they break the rule %s of API 2.12.1",
            partition.ispb,
            count,
            rule,
        )
    return dg.MaterializeResult(
        metadata={
            "dagster/partition_row_count": len(records),
            **outcomes,
            **({"broken_rules": dg.MetadataValue.json(dict(broken_rules))} if broken_rules else {}),
        }
    )


def _close_answered(
    database: Database, run_id: str, partition: SyncPartition, local: Snapshot, bacen: Snapshot
) -> None:
    """Close the review items whose key DICT holds again, or whose row has changed.

    That DICT holds a key again is believed of this run's own comparison only: it may have lost the key since another's.
    """
    dict_facts = bacen.facts(DictFacts)
    returned = frozenset[bytes]()
    if bacen.snapshot_id == run_id and dict_facts.local_snapshot == local.snapshot_id:
        local_only = bacen.scan("local_only", LOCAL_ONLY_SCHEMA).collect()
        returned = returned_cids(local.facts(LocalFacts), dict_facts, local_only)
    closed = review.CLOSED_AT_ONCE
    while closed == review.CLOSED_AT_ONCE:
        closed = database.retrying(lambda connection: review.close_answered(connection, partition.ispb, returned))


def _repair(
    run_id: str,
    partition: SyncPartition,
    todo: pl.DataFrame,
    compared: DictFacts,
    local_database: LocalDatabase,
    dict_api: DictApi,
    settings: SyncSettings,
) -> list[FixRecord]:
    database, cipher = local_database.database(), local_database.cipher()
    with dict_api.connect(database, partition.ispb, run_id) as connection:
        watch = RemovalWatch(connection.client, compared.read_until, settings.log_lag_seconds, time.monotonic)
        repair = Repair(
            connection.client,
            database,
            cipher,
            watch,
            run_id,
            partition.ispb,
            settings.batch_size,
            lambda: datetime.now(UTC),
            compared.unreadable(),
        )
        return repair.apply(todo)
