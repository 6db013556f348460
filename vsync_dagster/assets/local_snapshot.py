"""`local_snapshot`: what we hold."""

import logging
from datetime import UTC, datetime

import dagster as dg

from vsync_dagster.assets.common import asset_of_sync, partition_of
from vsync_dagster.local_db.database import retry_transient
from vsync_dagster.local_db.snapshot import LocalSnapshotFacts, read_snapshot
from vsync_dagster.reconcile.status import SyncType
from vsync_dagster.resources import LocalDatabase, Snapshots, SyncSettings, environment
from vsync_dagster.sync.facts import LocalFacts
from vsync_dagster.sync.local_sets import local_sets
from vsync_dagster.sync.spool import write_spooled

_log = logging.getLogger(__name__)


@asset_of_sync(kinds={"postgres", "parquet"})
def local_snapshot(
    context: dg.AssetExecutionContext,
    local_database: LocalDatabase,
    snapshots: Snapshots,
    settings: SyncSettings,
) -> dg.MaterializeResult[None]:
    """The participant's active entries in one consistent read: CIDs, entry ids and the five VSyncs.

    A FULL sync also recomputes each CID from its row: a row that no longer hashes to the CID stored beside it is drift
    that a VSync cannot see. No key, name or tax id is in the snapshot.

    Can be rebuilt at any time, also for a past day: it then shows the base as it is now.
    """
    started_at = datetime.now(UTC)
    partition, database = partition_of(context), local_database.database()
    local_database.cipher()  # that there is one is known before anything is begun
    write_spooled(environment().home, database)

    def take() -> tuple[LocalSnapshotFacts, LocalFacts]:
        with snapshots.store().write("local_snapshot", partition, context.run.run_id) as snapshot:
            read = read_snapshot(
                database,
                partition.ispb,
                integrity=settings.type is SyncType.FULL,
                write_block=snapshot.table("entries").write,
            )
            snapshot.table("tampered").write(read.tampered)
            snapshot.facts = facts = LocalFacts(
                settings.type, started_at, read.taken_at, read.pg_snapshot, read.cluster, local_sets(read)
            )
        return read, facts

    # From the start each time: a read that broke off is no part of a snapshot.
    read, facts = retry_transient()(take)
    entries = sum(ours.entries for ours in facts.sets.values())
    _log.info("%s: our base holds %d active entries", partition.ispb, entries)
    return dg.MaterializeResult(
        metadata={
            "dagster/partition_row_count": entries,
            "tampered": len(read.tampered),
            "under_review": len(read.under_review),
            "sync_type": settings.type.value,
            "vsyncs": dg.MetadataValue.json({name: ours.vsync.hex() for name, ours in facts.sets.items()}),
        }
    )
