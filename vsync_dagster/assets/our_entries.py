"""Our active entries in a local snapshot: a table for each key type."""

from collections.abc import Callable
from functools import partial

from vsync_dagster.local_db.cid_rows import CidBlock
from vsync_dagster.store import Snapshot, SnapshotWriter
from vsync_dagster.sync.local_sets import STORED_SCHEMA, SnapshotEntries, stored

_TABLE = "entries-"


def writer(snapshot: SnapshotWriter) -> Callable[[CidBlock], None]:
    """Return what writes a block of entries to a snapshot."""
    return lambda block: snapshot.table(_TABLE + block.key_type, "arrow").write(stored(block))


def read(snapshot: Snapshot) -> SnapshotEntries:
    """Return the entries of a snapshot that was read whole."""
    tables = [name for name in snapshot.tables if name.startswith(_TABLE)]
    return SnapshotEntries({name[len(_TABLE) :]: partial(snapshot.parts, name, STORED_SCHEMA) for name in tables})
