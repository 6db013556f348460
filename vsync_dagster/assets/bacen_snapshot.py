"""`bacen_snapshot`: what DICT says, and where it differs."""

from dataclasses import asdict

import dagster as dg

from vsync_dagster.assets.common import asset_of_sync, partition_of
from vsync_dagster.assets.local_snapshot import local_snapshot
from vsync_dagster.partitions import SyncPartition
from vsync_dagster.reconcile.discrepancies import LOCAL_SCHEMA
from vsync_dagster.resources import DictApi, LocalDatabase, Snapshots, SyncSettings
from vsync_dagster.store import Snapshot
from vsync_dagster.sync.cid_files import CidFiles
from vsync_dagster.sync.compare import Comparer
from vsync_dagster.sync.connection import DictConnection
from vsync_dagster.sync.facts import DictFacts, LocalFacts
from vsync_dagster.sync.local_sets import SnapshotEntries


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
        found = _comparer(local, connection, local_database, partition, settings).compare()
        snapshot.table("dict_only").write(found.dict_only)
        snapshot.table("local_only").write(found.local_only)
        snapshot.facts = DictFacts(local.snapshot_id, found.read_until, found.key_types, found.plan)
    return dg.MaterializeResult(
        metadata={
            "dagster/partition_row_count": len(found.dict_only) + len(found.local_only),
            "only_at_dict": len(found.dict_only),
            "only_here": len(found.local_only),
            "plan": dg.MetadataValue.json(asdict(found.plan)),
            "key_types_in_sync": sum(facts.proof is not None for facts in found.key_types.values()),
            "verdicts": dg.MetadataValue.json(
                {name: f"{'OK' if facts.proof else 'NOK'} ({facts.source})" for name, facts in found.key_types.items()}
            ),
        }
    )


def _comparer(
    local: Snapshot,
    connection: DictConnection,
    local_database: LocalDatabase,
    partition: SyncPartition,
    settings: SyncSettings,
) -> Comparer:
    database = local_database.database()
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
            settings.sleep,
        ),
        ispb=partition.ispb,
        ours=local.facts(LocalFacts),
        snapshot=SnapshotEntries(local.scan("entries", LOCAL_SCHEMA)),
        tampered=local.scan("tampered", LOCAL_SCHEMA).collect(),
        since=settings.since_time,
        lag=settings.log_lag_seconds,
        allowance=connection.allowance,
    )
