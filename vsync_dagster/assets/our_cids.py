"""Our CIDs in a local snapshot that was read whole: a table for each key type."""

from collections.abc import Callable
from functools import partial

import polars as pl

from vsync_dagster.local_db.cid_rows import CidBlock
from vsync_dagster.store import Snapshot, SnapshotWriter
from vsync_dagster.sync.local_sets import STORED_SCHEMA, SnapshotCids

_TABLE = "cids-"


def writer(snapshot: SnapshotWriter) -> Callable[[CidBlock], None]:
    """Return what writes a block of CIDs to a snapshot."""
    return lambda block: snapshot.table(_TABLE + block.key_type, "arrow").write(
        pl.DataFrame({"cid": pl.Series(block.cids)}, STORED_SCHEMA)
    )


def read(snapshot: Snapshot) -> SnapshotCids:
    """Return the CIDs of a snapshot that was read whole."""
    tables = [name for name in snapshot.tables if name.startswith(_TABLE)]
    return SnapshotCids({name[len(_TABLE) :]: partial(snapshot.parts, name, STORED_SCHEMA) for name in tables})
