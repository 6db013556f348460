"""One consistent read of a participant's active keys: CIDs, entry ids, VSyncs, and rows that were tampered with."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl
from psycopg import IsolationLevel

from vsync_dagster.local_db import cid_stream, review
from vsync_dagster.local_db.cid_stream import CidBlock
from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.local_db.entries import KeyTypeSet
from vsync_dagster.local_db.errors import DatabaseError
from vsync_dagster.local_db.ledger import cluster_id
from vsync_dagster.local_db.review import UnderReview
from vsync_dagster.reconcile.cid_set import Tally
from vsync_dagster.reconcile.keys import KeyType

_KNOWN = [key_type.value for key_type in KeyType]

# entry_id is 16 bytes, cid 32.
SCHEMA = pl.Schema({"key_type": pl.String, "entry_id": pl.Binary, "cid": pl.Binary})


@dataclass(frozen=True, slots=True)
class LocalSnapshotFacts:
    """What was true of a participant's keys at one moment.

    `taken_at` is the database's time just before the snapshot, `pg_snapshot` what it sees, and `cluster` the server
    whose transaction ids those are. `key_types` holds DICT's five key types and any other that rows carry.
    `tampered` has the columns of `SCHEMA`: rows whose attributes no longer hash to the CID beside them, which is the
    one given; only an integrity read looks for them. `under_review` are rows in the same snapshot.
    """

    taken_at: datetime
    pg_snapshot: str
    cluster: str
    key_types: dict[str, KeyTypeSet]
    tampered: pl.DataFrame
    under_review: list[UnderReview]


class _Totals:
    """Count and XOR of the CIDs of each key type."""

    def __init__(self, key_types: list[str]) -> None:
        self._tallies = {key_type: Tally() for key_type in key_types}

    def add(self, block: CidBlock) -> None:
        for code, tally in enumerate(self._tallies.values()):
            tally.add(block.cids[block.codes == code])

    def result(self) -> dict[str, KeyTypeSet]:
        return {key_type: KeyTypeSet(tally.count, tally.vsync) for key_type, tally in self._tallies.items()}


def read_snapshot(
    database: Database,
    ispb: str,
    *,
    integrity: bool = False,
    write_block: Callable[[pl.DataFrame], None] | None = None,
) -> LocalSnapshotFacts:
    """Read the participant's ACTIVE rows in one REPEATABLE READ transaction, in blocks of bounded size.

    `write_block` gets each block as a frame with the columns of `SCHEMA`; without it, only the facts are returned.
    `integrity` recomputes each row's CID from its attributes, which takes several times as long. Nothing is tried
    again here, since blocks were handed out by then.

    Raises:
        DatabaseUnavailableError: the read broke off; start again with a fresh `write_block`.
        DatabaseError: the server sent something else than the rows it had counted.
    """
    with database.connect(bulk=True) as conn:
        conn.isolation_level = IsolationLevel.REPEATABLE_READ
        conn.read_only = True
        taken_at, pg_snapshot = moment(conn)
        counts = _counts(conn, ispb)
        key_types = [*_KNOWN, *sorted(counts.keys() - set(_KNOWN))]
        totals = _Totals(key_types)
        tampered = [SCHEMA.to_frame()]
        for block in _blocks(conn, ispb, key_types, integrity):
            totals.add(block)
            if write_block is not None:
                write_block(_frame(block, key_types))
            if block.tampered is not None and block.tampered.any():
                tampered.append(_frame(block.only(block.tampered), key_types))
        result = totals.result()
        _check_counts(counts, result)
        return LocalSnapshotFacts(
            taken_at, pg_snapshot, cluster_id(conn), result, pl.concat(tampered), review.under_review(conn, ispb)
        )


def moment(conn: Connection) -> tuple[datetime, str]:
    """Return the time and the `pg_snapshot` of a transaction, as its first statement, which fixes its snapshot."""
    # statement_timestamp() is the moment before that: whatever this snapshot misses was committed later.
    row = conn.execute("select statement_timestamp(), pg_current_snapshot()::text").fetchone()
    if row is None:
        raise DatabaseError("the database tells no snapshot")
    return row[0], row[1]


def _counts(conn: Connection, ispb: str) -> dict[str, int]:
    rows = conn.execute(
        "select key_type, count(*) from entries where participant_ispb = %s and status = 'ACTIVE' group by key_type",
        [ispb],
    )
    return dict(rows.fetchall())


def _blocks(conn: Connection, ispb: str, key_types: list[str], integrity: bool) -> Iterator[CidBlock]:
    read = cid_stream.read_checked if integrity else cid_stream.read
    return read(conn, ispb, key_types)


def _check_counts(counted: dict[str, int], read: dict[str, KeyTypeSet]) -> None:
    if any(counted.get(key_type, 0) != held.entries for key_type, held in read.items()):
        raise DatabaseError("the rows read are not the rows counted in the same snapshot; nothing of it is used")


def _frame(block: CidBlock, key_types: list[str]) -> pl.DataFrame:
    names = pl.Series(key_types, dtype=pl.String)
    return pl.DataFrame(
        {
            "key_type": names.gather(block.codes.astype(np.uint32)),
            "entry_id": _binary(block.entry_ids),
            "cid": _binary(block.cids),
        },
        schema=SCHEMA,
    )


def _binary(rows: np.ndarray[tuple[int, int], np.dtype[np.uint8]]) -> pl.Series:
    # Through a list of integers: Polars makes no binary column from a matrix directly, and bytes objects take
    # four times as long.
    return pl.Series(rows).arr.to_list().cast(pl.Binary)
