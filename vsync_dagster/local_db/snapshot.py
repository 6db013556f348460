"""One consistent read of a participant's active keys: CIDs, VSyncs, and rows that were tampered with."""

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime

import polars as pl
from psycopg import IsolationLevel

from vsync_dagster.local_db import cid_pages, cid_stream, review
from vsync_dagster.local_db.cid_rows import Bytes, CidBlock
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


def read_snapshot(
    database: Database,
    ispb: str,
    *,
    integrity: bool = False,
    write_block: Callable[[CidBlock], None] | None = None,
) -> LocalSnapshotFacts:
    """Read the participant's ACTIVE rows in one REPEATABLE READ transaction, in blocks of bounded size.

    `write_block` gets each block; without it, only the facts are returned.
    `integrity` recomputes each row's CID from its attributes, which takes several times as long. Where the participant
    fills a good part of the table, a second connection reads half of it in the same snapshot. Until the end nothing
    empties or rewrites `entries`, which takes a lock of its own. Nothing is tried again here, since blocks were handed
    out by then.

    Raises:
        DatabaseUnavailableError: the read broke off; start again with a fresh `write_block`.
        DatabaseError: the server sent something else than the rows it had counted.
    """
    with database.connect(bulk=True) as conn:
        conn.isolation_level = IsolationLevel.REPEATABLE_READ
        conn.read_only = True
        # Before the snapshot: what TRUNCATE took away in between would be seen as gone, and again in the ledger later.
        conn.execute("lock table entries in access share mode")
        taken_at, pg_snapshot = moment(conn)
        cluster, under_review = cluster_id(conn), review.under_review(conn, ispb)
        tallies = {name: Tally() for name in _KNOWN}
        tampered = [SCHEMA.to_frame()]
        with closing(_blocks(database, conn, ispb, integrity)) as blocks:
            for block in blocks:
                tallies.setdefault(block.key_type, Tally()).add(block.cids)
                if write_block is not None:
                    write_block(block)
                if len(block.tampered_ids):
                    tampered.append(_tampered(block))
        return LocalSnapshotFacts(
            taken_at, pg_snapshot, cluster, _key_types(tallies), pl.concat(tampered), under_review
        )


def moment(conn: Connection) -> tuple[datetime, str]:
    """Return the time and the `pg_snapshot` of a transaction; as its first query, it fixes its snapshot."""
    # statement_timestamp() is the moment before that: whatever this snapshot misses was committed later.
    row = conn.execute("select statement_timestamp(), pg_current_snapshot()::text").fetchone()
    if row is None:
        raise DatabaseError("the database tells no snapshot")
    return row[0], row[1]


def _blocks(database: Database, conn: Connection, ispb: str, integrity: bool) -> Generator[CidBlock]:
    if ranges := cid_pages.page_ranges(cid_pages.figures(conn, ispb)):
        yield from cid_pages.read(database, conn, ispb, ranges, integrity=integrity)
    else:
        yield from cid_stream.read(conn, ispb, integrity=integrity)


def _key_types(tallies: dict[str, Tally]) -> dict[str, KeyTypeSet]:
    names = [*_KNOWN, *sorted(tallies.keys() - set(_KNOWN))]
    return {name: KeyTypeSet(tallies[name].count, tallies[name].vsync) for name in names}


def _tampered(block: CidBlock) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "key_type": pl.repeat(block.key_type, len(block.tampered_ids), dtype=pl.String, eager=True),
            "entry_id": _binary(block.tampered_ids),
            "cid": _binary(block.tampered_cids),
        },
        schema=SCHEMA,
    )


def _binary(rows: Bytes) -> pl.Series:
    # Through a list of integers: Polars makes no binary column from a matrix directly, and bytes objects take
    # four times as long.
    return pl.Series(rows).arr.to_list().cast(pl.Binary)
