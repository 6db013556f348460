"""`local_snapshot`: what we hold."""

import logging
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from vsync_dagster.assets import our_cids
from vsync_dagster.assets.common import asset_of_sync, partition_of
from vsync_dagster.local_db import integrity
from vsync_dagster.local_db.database import Database, retry_transient
from vsync_dagster.local_db.key_table.check import require_same_table
from vsync_dagster.local_db.snapshot import read_snapshot
from vsync_dagster.partitions import SyncPartition
from vsync_dagster.reconcile.status import SyncType
from vsync_dagster.resources import LocalDatabase, Snapshots, SyncSettings, environment
from vsync_dagster.store import SnapshotStore
from vsync_dagster.sync.facts import LocalFacts
from vsync_dagster.sync.local_sets import OurSets, carry_from_verified, local_sets
from vsync_dagster.sync.spool import write_spooled

_log = logging.getLogger(__name__)


@asset_of_sync(kinds={"postgres", "arrow"})
def local_snapshot(
    context: dg.AssetExecutionContext,
    local_database: LocalDatabase,
    snapshots: Snapshots,
    settings: SyncSettings,
) -> dg.MaterializeResult[None]:
    """The participant's five VSyncs, at one moment of the base.

    An INCREMENTAL sync carries them forward from the last verified ones, over the ledger of CIDs that came and went:
    its cost follows the changes. A FULL sync reads the CIDs of all active entries, and recomputes each from its row:
    a row that no longer hashes to the CID stored beside it is drift that a VSync cannot see. The table is read whole,
    too, where the ledger cannot tell: never verified, another cluster, a trigger out of force. No key, name or tax id
    is in the snapshot.

    Can be rebuilt at any time, also for a past day: it then shows the base as it is now.
    """
    started_at, run_id = datetime.now(UTC), context.run.run_id
    partition, database, store = partition_of(context), local_database.database(), snapshots.store()
    local_database.cipher()  # that there is one is known before anything is begun
    write_spooled(environment().home, database)
    database.retrying(require_same_table)

    ours = None if settings.type is SyncType.FULL else carry_from_verified(database, partition.ispb)
    if ours is not None:
        tampered, facts = 0, _facts(run_id, settings.type, started_at, ours)
        _write_carried(store, partition, run_id, facts)
    else:
        tampered, facts = take_whole(store, database, partition, run_id, run_id, settings.type, started_at)
    if settings.type is SyncType.FULL and not settings.dry_run:
        database.retrying(lambda connection: integrity.record(connection, partition.ispb, run_id, tampered))
    _log.info("%s: our base holds %d active entries", partition.ispb, facts.entries)
    return dg.MaterializeResult(metadata=snapshot_metadata(facts, tampered))


def take_whole(
    store: SnapshotStore,
    database: Database,
    partition: SyncPartition,
    snapshot_id: str,
    run_id: str,
    sync_type: SyncType,
    started_at: datetime,
) -> tuple[int, LocalFacts]:
    """Write a snapshot of all active entries, and return how many of them were tampered with, and its facts."""

    def take() -> tuple[int, LocalFacts]:
        with store.write("local_snapshot", partition, snapshot_id) as snapshot:
            read = read_snapshot(
                database,
                partition.ispb,
                integrity=sync_type is SyncType.FULL,
                write_block=our_cids.writer(snapshot),
            )
            snapshot.table("tampered").write(read.tampered)
            snapshot.facts = facts = _facts(run_id, sync_type, started_at, OurSets(read, local_sets(read)))
        return len(read.tampered), facts

    # From the start each time: a read that broke off is no part of a snapshot.
    return retry_transient()(take)


def snapshot_metadata(facts: LocalFacts, tampered: int) -> dict[str, Any]:
    """Return what Dagster shows of a local snapshot."""
    return {
        "dagster/partition_row_count": facts.entries,
        "read": "whole table" if facts.whole else "ledger of CID events since the last verification",
        "tampered": tampered,
        "under_review": sum(len(ours.under_review) for ours in facts.sets.values()),
        "sync_type": facts.sync_type.value,
        "vsyncs": dg.MetadataValue.json({name: ours.vsync.hex() for name, ours in facts.sets.items()}),
    }


def _write_carried(store: SnapshotStore, partition: SyncPartition, snapshot_id: str, facts: LocalFacts) -> None:
    with store.write("local_snapshot", partition, snapshot_id) as snapshot:
        snapshot.table("tampered")
        snapshot.facts = facts


def _facts(run_id: str, sync_type: SyncType, started_at: datetime, ours: OurSets) -> LocalFacts:
    read = ours.read
    return LocalFacts(run_id, sync_type, started_at, read.taken_at, read.pg_snapshot, read.cluster, ours.by_key_type)
