"""A participant's sets carried forward over the ledger, at a cost that follows the changes and not the keys.

Where a key type's set was known whole at one moment, the log of CIDs that came and went here tells it at any later one:
adding a CID to an XOR and taking it out are the same. The log is cut by transaction snapshots, never by id or time: a
transaction that committed late is then neither lost nor counted twice.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

from psycopg import IsolationLevel
from psycopg.sql import SQL, Composed

from vsync_dagster.local_db import review
from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.local_db.entries import KeyTypeSet
from vsync_dagster.local_db.errors import DatabaseError
from vsync_dagster.local_db.key_table.triggers import LEDGER_TRIGGERS
from vsync_dagster.local_db.ledger import UNSEEN, cluster_id
from vsync_dagster.local_db.snapshot import SCHEMA, LocalSnapshotFacts, moment
from vsync_dagster.reconcile.vsync import xor

# A = ALWAYS; every other state lets some road into the table leave the log behind.
_WATCHED = """
select count(*) from pg_trigger
where tgrelid = keys_kept_in() and tgname = any(%(names)s) and tgenabled = 'A'
"""

_FROM_THE_FUTURE = "select pg_snapshot_xmax(%(snapshot)s::pg_snapshot) > pg_snapshot_xmax(pg_current_snapshot())"

_OTHER_KEY_TYPES = SQL("""
select exists (
    select from cid_events
    where participant_ispb = %(ispb)s and not key_type = any(%(known)s)
        and {unseen}
)
""").format(unseen=UNSEEN)

_SINCE = SQL("""
select
    count(*) filter (where event_type = 'ADDED') - count(*) filter (where event_type = 'REMOVED'),
    coalesce(bit_xor(('x' || encode(cid, 'hex'))::bit(256)), 0::bit(256))::text
from cid_events
where participant_ispb = %(ispb)s and key_type = %(key_type)s
    and {unseen}
""").format(unseen=UNSEEN)


class LedgerUnusableError(DatabaseError):
    """The ledger cannot tell what has changed since; the table has to be read whole."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """A key type's set at an earlier moment: its size and VSync, in which snapshot (`pg_snapshot`) of which cluster.

    `read_whole_at` is when the table was last read whole for it.
    """

    held: KeyTypeSet
    read_whole_at: datetime
    local_snapshot: str
    cluster: str


def carry_forward(database: Database, ispb: str, baselines: Mapping[str, Baseline]) -> LocalSnapshotFacts:
    """Return the participant's sets as they are now, in one REPEATABLE READ transaction, without reading the table.

    Args:
        database: our base.
        ispb: the participant.
        baselines: by key type, every key type that the participant may hold.

    Raises:
        LedgerUnusableError: a baseline is of another cluster (restored or new), the triggers that write the ledger are
            not all in force, or the ledger contradicts a baseline.
        DatabaseUnavailableError: the read broke off.
    """
    with database.connect(bulk=True) as conn:
        conn.isolation_level = IsolationLevel.REPEATABLE_READ
        conn.read_only = True
        taken_at, pg_snapshot = moment(conn)
        cluster = cluster_id(conn)
        _check_usable(conn, ispb, baselines, cluster)
        return LocalSnapshotFacts(
            taken_at,
            pg_snapshot,
            cluster,
            {key_type: _carried(conn, ispb, key_type, baseline) for key_type, baseline in baselines.items()},
            SCHEMA.to_frame(),
            review.under_review(conn, ispb),
        )


def _check_usable(conn: Connection, ispb: str, baselines: Mapping[str, Baseline], cluster: str) -> None:
    if any(baseline.cluster != cluster for baseline in baselines.values()):
        raise LedgerUnusableError("this is another PostgreSQL cluster, or a restored one")
    if _one(conn, _WATCHED, {"names": list(LEDGER_TRIGGERS)}) != len(LEDGER_TRIGGERS):
        raise LedgerUnusableError("not all of the triggers that write the ledger are in force on the key table")
    for snapshot in {baseline.local_snapshot for baseline in baselines.values()}:
        if _one(conn, _FROM_THE_FUTURE, {"snapshot": snapshot}):
            raise LedgerUnusableError("the last verification is of a later transaction than this database has seen")
        if _one(conn, _OTHER_KEY_TYPES, {"ispb": ispb, "known": list(baselines), "snapshot": snapshot}):
            raise LedgerUnusableError("keys of a type came that was never verified")


def _carried(conn: Connection, ispb: str, key_type: str, baseline: Baseline) -> KeyTypeSet:
    parameters = {"ispb": ispb, "key_type": key_type, "snapshot": baseline.local_snapshot}
    row = conn.execute(_SINCE, parameters).fetchone()
    if row is None:
        raise DatabaseError("the database does not answer an aggregate")
    more, bits = row
    if baseline.held.entries + more < 0:
        raise LedgerUnusableError("more CIDs went, by the ledger, than there were")
    changed = int(bits, 2).to_bytes(len(baseline.held.vsync))
    return KeyTypeSet(baseline.held.entries + more, xor(baseline.held.vsync, changed))


def _one(conn: Connection, query: LiteralString | Composed, parameters: Mapping[str, object]) -> object:
    row = conn.execute(query, parameters).fetchone()
    return None if row is None else row[0]
