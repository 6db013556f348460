"""Our CID sets: as a local snapshot holds them, and as they are now."""

from collections.abc import Collection
from dataclasses import dataclass

import polars as pl

from vsync_dagster.local_db.snapshot import LocalSnapshotFacts
from vsync_dagster.reconcile.cid_set import CidArray, cid_array
from vsync_dagster.sync.verification import LocalSet


@dataclass(frozen=True, slots=True)
class SnapshotEntries:
    """The entries of a local snapshot: rows of `LOCAL_SCHEMA`."""

    rows: pl.LazyFrame

    def cids(self, key_type: str) -> CidArray:
        """Return all CIDs of a key type."""
        return cid_array(self.rows.filter(pl.col("key_type") == key_type).select("cid").collect()["cid"].to_list())

    def among(self, cids: Collection[bytes]) -> frozenset[bytes]:
        """Return those of the CIDs that the snapshot holds, whatever their key type."""
        if not cids:
            return frozenset()
        wanted = pl.LazyFrame({"cid": list(cids)}, schema={"cid": pl.Binary})
        return frozenset(self.rows.select("cid").join(wanted, on="cid", how="semi").collect()["cid"].to_list())


def local_sets(read: LocalSnapshotFacts) -> dict[str, LocalSet]:
    """Return our sets by key type, as one read of the database found them."""
    reviewed: dict[str, set[bytes]] = {name: set() for name in read.key_types}
    for item in read.under_review:
        reviewed[item.key_type].add(item.cid)
    return {
        name: LocalSet(name, held.entries, held.vsync, frozenset(reviewed[name]))
        for name, held in read.key_types.items()
    }
