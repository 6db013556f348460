"""`discrepancies`: the two snapshots joined."""

import logging

import dagster as dg

from vsync_dagster.assets.bacen_snapshot import bacen_snapshot
from vsync_dagster.assets.common import asset_of_sync, partition_of
from vsync_dagster.assets.local_snapshot import local_snapshot
from vsync_dagster.reconcile.discrepancies import (
    DICT_ONLY_SCHEMA,
    LOCAL_ONLY_SCHEMA,
    LOCAL_SCHEMA,
    classify,
    counts,
)
from vsync_dagster.resources import Snapshots
from vsync_dagster.store import SnapshotMismatchError
from vsync_dagster.sync.facts import ComparedFacts, DictFacts

_log = logging.getLogger(__name__)


@asset_of_sync(kinds={"polars", "parquet"}, deps=[local_snapshot, bacen_snapshot])
def discrepancies(context: dg.AssetExecutionContext, snapshots: Snapshots) -> dg.MaterializeResult[None]:
    """What each difference is: MISSING_LOCAL, OUTDATED_LOCAL or MISSING_BACEN, in flight or pending.

    A pure function of the two snapshots, so it can be rebuilt as often as one likes, with the same result.
    """
    partition, store = partition_of(context), snapshots.store()
    local, bacen = store.read("local_snapshot", partition), store.read("bacen_snapshot", partition)
    if bacen.facts(DictFacts).local_snapshot != local.snapshot_id:
        raise SnapshotMismatchError("bacen_snapshot was compared with another local_snapshot: materialize it again")
    found = classify(
        bacen.scan("ours", LOCAL_SCHEMA),
        bacen.scan("dict_only", DICT_ONLY_SCHEMA),
        bacen.scan("local_only", LOCAL_ONLY_SCHEMA),
    )
    with store.write("discrepancies", partition, context.run.run_id) as snapshot:
        snapshot.table("discrepancies").write(found)
        snapshot.facts = ComparedFacts(bacen.snapshot_id)
    by_type = counts(found)
    totals = {name: int(by_type[name].sum()) for name in by_type.columns[1:]}
    _log.info("%s: %s", partition.ispb, ", ".join(f"{count} {name}" for name, count in totals.items()))
    records = [dg.TableRecord(row) for row in by_type.to_dicts()]
    return dg.MaterializeResult(
        metadata={
            "dagster/partition_row_count": len(found),
            "discrepancies": len(found) - totals["in_flight"] - totals["pending"],
            **totals,
            **({"by_key_type": dg.MetadataValue.table(records)} if records else {}),
        }
    )
