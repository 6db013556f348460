"""Our CID sets: as a local snapshot holds them, and as they are now."""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import polars as pl

from vsync_dagster.local_db import ledger, sync_state
from vsync_dagster.local_db.carried import Baseline, LedgerUnusableError, carry_forward
from vsync_dagster.local_db.database import Connection, Database, retry_transient
from vsync_dagster.local_db.entries import KeyTypeSet
from vsync_dagster.local_db.snapshot import LocalSnapshotFacts, read_snapshot
from vsync_dagster.local_db.sync_state import SyncState
from vsync_dagster.reconcile.cid import CID_BYTES
from vsync_dagster.reconcile.cid_set import ArrayStream
from vsync_dagster.reconcile.discrepancies import LOCAL_SCHEMA
from vsync_dagster.reconcile.keys import KeyType
from vsync_dagster.reconcile.vsync import vsync, xor
from vsync_dagster.sync.facts import LocalFacts
from vsync_dagster.sync.verification import LocalSet

_log = logging.getLogger(__name__)

# A snapshot's CIDs of one key type: numpy's own rows, which are written and read as they are.
STORED_SCHEMA = pl.Schema({"cid": pl.Array(pl.UInt8, CID_BYTES)})


@dataclass(frozen=True, slots=True)
class SnapshotCids:
    """The CIDs of a snapshot that was read whole: by key type rows of `STORED_SCHEMA`, as often as asked for."""

    parts: Mapping[str, Callable[[], Iterator[pl.LazyFrame]]]

    def of(self, key_type: str) -> ArrayStream:
        """Return the CIDs of a key type."""
        parts = self.parts.get(key_type, lambda: iter(()))
        return ArrayStream(lambda: (part.collect()["cid"].to_numpy() for part in parts()))


@dataclass(frozen=True, slots=True)
class OurEntries:
    """Our active entries at the moment of a local snapshot: the table now, less what the ledger tells since."""

    database: Database
    ispb: str
    pg_snapshot: str

    def among(self, cids: Collection[bytes]) -> frozenset[bytes]:
        """Return those of the CIDs that we held, whatever their key type."""
        return frozenset(self.rows(cids, ())["cid"])

    def rows(self, cids: Collection[bytes], entry_ids: Collection[bytes]) -> pl.DataFrame:
        """Return the entries with one of the CIDs or of the entry ids (16 bytes), in `LOCAL_SCHEMA`, sorted by CID."""
        ids = [UUID(bytes=entry_id) for entry_id in entry_ids]

        def read(connection: Connection) -> pl.DataFrame:
            held = ledger.held_at(connection, self.ispb, cids, ids, local_snapshot=self.pg_snapshot)
            return pl.concat([LOCAL_SCHEMA.to_frame(), *map(_frame, held)])

        return self.database.retrying(read, bulk=True).unique().sort("cid", "entry_id")


def _frame(held: Sequence[ledger.HeldCid]) -> pl.DataFrame:
    rows = [(each.key_type, each.entry_id.bytes, each.cid) for each in held]
    return pl.DataFrame(rows, LOCAL_SCHEMA, orient="row")


@dataclass(frozen=True, slots=True)
class OurSets:
    """Our sets by key type, and the one read of the database that found them."""

    read: LocalSnapshotFacts
    by_key_type: dict[str, LocalSet]


def read_whole(database: Database, ispb: str) -> OurSets:
    """Return our sets as the table holds them now."""
    read = retry_transient()(read_snapshot, database, ispb)
    return OurSets(read, local_sets(read))


def carry_from_verified(database: Database, ispb: str) -> OurSets | None:
    """Return our sets as they are now, carried forward from the last verified ones; None if the table must be read."""
    states = database.retrying(lambda connection: sync_state.get(connection, ispb))
    baselines = {name: known for name, state in states.items() if (known := _verified(state))}
    unknown = ({*states} | {str(name) for name in KeyType}) - {*baselines}
    if unknown:
        _log.info("%s: never verified: %s; reading the table whole", ispb, ", ".join(sorted(unknown)))
        return None
    return _carry(database, ispb, baselines)


def carry_from(database: Database, ispb: str, ours: LocalFacts) -> OurSets | None:
    """Return our sets as they are now, carried forward from a snapshot; None if the table must be read."""
    baselines = {
        name: Baseline(KeyTypeSet(known.entries, known.vsync), known.read_whole_at, ours.pg_snapshot, ours.cluster)
        for name, known in ours.sets.items()
    }
    return _carry(database, ispb, baselines)


def _carry(database: Database, ispb: str, baselines: Mapping[str, Baseline]) -> OurSets | None:
    try:
        read = retry_transient()(carry_forward, database, ispb, baselines)
    except LedgerUnusableError as error:
        _log.warning("%s: the ledger cannot tell what has changed (%s); reading the table whole", ispb, error)
        return None
    return OurSets(read, local_sets(read, baselines))


def _verified(state: SyncState) -> Baseline | None:
    if state.verified_vsync is None or state.entries is None or state.read_whole_at is None:
        return None
    if state.local_snapshot is None or state.cluster is None:
        return None
    whole = xor(state.verified_vsync, vsync(state.excluded_cids))
    return Baseline(KeyTypeSet(state.entries, whole), state.read_whole_at, state.local_snapshot, state.cluster)


def local_sets(read: LocalSnapshotFacts, carried_from: Mapping[str, Baseline] | None = None) -> dict[str, LocalSet]:
    """Return our sets by key type, as one read of the database found them, or carried them forward."""
    reviewed: dict[str, set[bytes]] = {name: set() for name in read.key_types}
    for item in read.under_review:
        reviewed[item.key_type].add(item.cid)
    return {
        name: LocalSet(
            name,
            held.entries,
            held.vsync,
            carried_from[name].read_whole_at if carried_from else read.taken_at,
            frozenset(reviewed[name]),
            carried_from is not None,
        )
        for name, held in read.key_types.items()
    }
