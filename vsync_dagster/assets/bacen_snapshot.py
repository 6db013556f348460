"""`bacen_snapshot`: what DICT says, and where it differs."""

import logging
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import dagster as dg

from vsync_dagster.assets import our_cids
from vsync_dagster.assets.common import asset_of_sync, partition_of
from vsync_dagster.assets.local_snapshot import local_snapshot, snapshot_metadata, take_whole
from vsync_dagster.local_db.database import Database
from vsync_dagster.reconcile.discrepancies import LOCAL_SCHEMA
from vsync_dagster.resources import DictApi, LocalDatabase, Snapshots, SyncSettings
from vsync_dagster.store import Snapshot, SnapshotStore
from vsync_dagster.sync.cid_files import CidFiles
from vsync_dagster.sync.compare import Comparer, TableNeededError
from vsync_dagster.sync.connection import DictConnection
from vsync_dagster.sync.facts import DictFacts, KeyTypeFacts, LocalFacts
from vsync_dagster.sync.local_sets import OurEntries

_log = logging.getLogger(__name__)


@asset_of_sync(kinds={"xml", "parquet"}, deps=[local_snapshot], pool="bacen_dict")
def bacen_snapshot(
    context: dg.AssetExecutionContext,
    local_database: LocalDatabase,
    dict_api: DictApi,
    snapshots: Snapshots,
    settings: SyncSettings,
) -> dg.MaterializeResult[None]:
    """DICT's verdict on each key type, and for one that is not in sync, how DICT's CID set differs from ours.

    The cheapest question comes first: five sync verifications. For a key type that is NOK, the event log since the
    last verification; where that does not explain the difference, and in a FULL sync, the CID file. Entries behind
    CIDs that we do not hold are looked up and wait in PostgreSQL; the snapshot names CIDs and entry ids only.

    Where the logs do not explain the difference and our sets were only carried forward, `local_snapshot` is taken
    again, whole, before DICT is asked for a file.

    Shows DICT as it is when it runs, also for a past day: DICT keeps no past sets. A re-run goes on with the CID files
    and look-ups that an earlier run of the same partition has paid for.

    Where DICT's budgets grant less than is needed within `VSYNC_BUDGET_WAIT_SECONDS`, the rest is left for another run.
    """
    partition = partition_of(context)
    local = snapshots.store().read("local_snapshot", partition)
    database = local_database.database()
    with (
        dict_api.connect(database, partition.ispb, context.run.run_id) as connection,
        snapshots.store().write("bacen_snapshot", partition, context.run.run_id) as snapshot,
    ):
        try:
            found = _comparer(context, local, connection, local_database, settings).compare()
        except TableNeededError:
            local = _taken_whole(context, local, snapshots.store(), database)
            found = _comparer(context, local, connection, local_database, settings).compare()
        snapshot.table("dict_only").write(found.dict_only)
        snapshot.table("local_only").write(found.local_only)
        snapshot.table("ours").write(found.ours)
        snapshot.facts = DictFacts(local.snapshot_id, found.read_until, found.key_types, found.plan)
    return dg.MaterializeResult(
        metadata={
            "dagster/partition_row_count": len(found.dict_only) + len(found.local_only),
            "only_at_dict": len(found.dict_only),
            "only_here": len(found.local_only),
            "plan": dg.MetadataValue.json(asdict(found.plan)),
            "unreadable": sum(len(facts.unreadable) for facts in found.key_types.values()),
            **_notes(found.key_types),
            "request_id_alone": sum(facts.request_id_alone for facts in found.key_types.values()),
            "key_types_in_sync": sum(facts.proof is not None for facts in found.key_types.values()),
            "verdicts": dg.MetadataValue.json(
                {name: f"{'OK' if facts.proof else 'NOK'} ({facts.source})" for name, facts in found.key_types.items()}
            ),
        }
    )


def _notes(key_types: Mapping[str, KeyTypeFacts]) -> dict[str, dg.JsonMetadataValue]:
    """Return why a key type could not be compared, and where DICT contradicts its own file."""
    notes: dict[str, dict[str, Any]] = {
        "not_compared": {name: facts.pending_because for name, facts in key_types.items() if facts.pending_because},
        "contradicts_own_file": {name: facts.contradiction for name, facts in key_types.items() if facts.contradiction},
        "unreadable_cids": {name: facts.unreadable for name, facts in key_types.items() if facts.unreadable},
    }
    return {name: dg.MetadataValue.json(told) for name, told in notes.items() if told}


def _taken_whole(
    context: dg.AssetExecutionContext, local: Snapshot, store: SnapshotStore, database: Database
) -> Snapshot:
    """Take the local snapshot again, whole, and tell Dagster."""
    _log.info("the logs do not explain why DICT's sets differ from ours: reading the table whole")
    partition, run_id, carried = partition_of(context), context.run.run_id, local.facts(LocalFacts)
    tampered, facts = take_whole(
        store, database, partition, f"{run_id}-whole", carried.run_id, carried.sync_type, carried.started_at
    )
    context.log_event(
        dg.AssetMaterialization(
            local_snapshot.key, partition=context.partition_key, metadata=snapshot_metadata(facts, tampered)
        )
    )
    return store.read("local_snapshot", partition)


def _comparer(
    context: dg.AssetExecutionContext,
    local: Snapshot,
    connection: DictConnection,
    local_database: LocalDatabase,
    settings: SyncSettings,
) -> Comparer:
    partition, database, ours = partition_of(context), local_database.database(), local.facts(LocalFacts)
    return Comparer(
        client=connection.client,
        database=database,
        cipher=local_database.cipher(),
        files=CidFiles(
            connection.client,
            connection.http,
            database,
            partition.ispb,
            partition.day,
            connection.downloads,
            settings.max_file_bytes,
            settings.log_lag_seconds,
            connection.allowance,
            connection.download_folder,
            connection.min_download_rate,
            settings.sleep,
        ),
        ispb=partition.ispb,
        ours=ours,
        entries=OurEntries(database, partition.ispb, ours.pg_snapshot),
        cids=our_cids.read(local) if ours.whole else None,
        tampered=local.scan("tampered", LOCAL_SCHEMA).collect(),
        since=settings.since_time,
        lag=settings.log_lag_seconds,
        allowance=connection.allowance,
        current=ours.run_id == context.run.run_id,
        dry_run=settings.dry_run,
    )
