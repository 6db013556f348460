"""Reads the log of CIDs that came and went here (`cid_events`)."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import NamedTuple
from uuid import UUID

from psycopg.rows import class_row
from psycopg.sql import SQL

from vsync_dagster.local_db.database import Connection
from vsync_dagster.local_db.entries import chunks

# One statement for a million CIDs would run into the time limit of a statement. `%b`, here and below: as text, each CID
# is escaped and parsed, which takes several times as long as finding it.
_CHUNK = 10_000

UNSEEN = SQL(
    "xid >= pg_snapshot_xmin(%(snapshot)s::pg_snapshot) and not pg_visible_in_snapshot(xid, %(snapshot)s::pg_snapshot)"
    " and not event_was_restored(xid, xmin, pg_snapshot_xmax(pg_current_snapshot()))"
)
"""The condition that the snapshot of a query's parameters did not see an event; its first part has an index.

Events that came with a restore were committed before any snapshot of this server.
"""

_EVENTS_SINCE = SQL("""
select event_type, cid, entry_id, occurred_at
from cid_events
where participant_ispb = %(ispb)s and key_type = %(key_type)s
    and {unseen}
order by event_id
""").format(unseen=UNSEEN)

_CHANGED_SINCE = SQL("""
with recent as (
    select cid, entry_id from cid_events
    where participant_ispb = %(ispb)s and occurred_at >= %(since)s
    union
    select cid, entry_id from cid_events
    where participant_ispb = %(ispb)s and {unseen}
)
select cid, entry_id from recent where cid = any(%(cids)b) or entry_id = any(%(entry_ids)b)
""").format(unseen=UNSEEN)

_HELD_AT = SQL("""
with since as (
    select distinct on (entry_id, cid) key_type, entry_id, cid, event_type
    from cid_events
    where participant_ispb = %(ispb)s and {unseen}
        and (cid = any(%(cids)b) or entry_id = any(%(entry_ids)b))
    order by entry_id, cid, event_id
)
select key_type, entry_id, cid from since where event_type = 'REMOVED'
union all
select key_type, entry_id, cid from entries e
where participant_ispb = %(ispb)s and status = 'ACTIVE' and (cid = any(%(cids)b) or entry_id = any(%(entry_ids)b))
    and not exists (select from since s where s.entry_id = e.entry_id and s.cid = e.cid)
""").format(unseen=UNSEEN)

# A hundredth of a table in one statement is enough for the planner to read all of it, once for each statement.
_BY_INDEX = "select set_config('enable_seqscan', 'off', true)"

_CLUSTER = """
select system_identifier::text || '/' || timeline_id::text
from pg_control_system(), pg_control_checkpoint()
"""


@dataclass(frozen=True, slots=True)
class LocalEvent:
    """A CID that came (`ADDED`) or went (`REMOVED`); `occurred_at` is the time of the statement, before its commit."""

    event_type: str
    cid: bytes
    entry_id: UUID
    occurred_at: datetime


class HeldCid(NamedTuple):
    """An active entry of a key type, and its CID."""

    key_type: str
    entry_id: UUID
    cid: bytes


def events_since(conn: Connection, ispb: str, key_type: str, local_snapshot: str) -> list[LocalEvent]:
    """Return the events that a snapshot did not see, in log order.

    `local_snapshot` is a `pg_snapshot` of the same server (see `cluster_id`): of another one, its transaction ids
    mean nothing.
    """
    parameters = {"ispb": ispb, "key_type": key_type, "snapshot": local_snapshot}
    with conn.cursor(row_factory=class_row(LocalEvent)) as cursor:
        return cursor.execute(_EVENTS_SINCE, parameters).fetchall()


def changed_since(
    conn: Connection,
    ispb: str,
    since: datetime,
    cids: Collection[bytes],
    entry_ids: Collection[UUID],
    *,
    local_snapshot: str,
) -> tuple[set[bytes], set[UUID]]:
    """Return which of the CIDs and of the entries changed here at or after a time, or unseen by a snapshot.

    Both are asked: a transaction that was still open when the snapshot was taken wrote earlier times than that.
    """
    parameters = {
        "ispb": ispb,
        "since": since,
        "snapshot": local_snapshot,
        "cids": list(cids),
        "entry_ids": list(entry_ids),
    }
    rows = conn.execute(_CHANGED_SINCE, parameters, binary=True).fetchall()
    wanted_cids, wanted_ids = frozenset(cids), frozenset(entry_ids)
    return {cid for cid, _ in rows if cid in wanted_cids}, {entry for _, entry in rows if entry in wanted_ids}


def held_at(
    conn: Connection, ispb: str, cids: Collection[bytes], entry_ids: Collection[UUID], *, local_snapshot: str
) -> Iterator[list[HeldCid]]:
    """Yield the active entries, as a snapshot saw them, that had one of the CIDs or one of the entry ids, in chunks.

    Those asked for both ways come twice. The table shows them as they are now; what the ledger says since then is
    undone. The transaction afterwards plans with indexes, where there are any, until its end.
    """
    conn.execute(_BY_INDEX)
    nothing: dict[str, object] = {"ispb": ispb, "snapshot": local_snapshot, "cids": [], "entry_ids": []}
    by_cid = (nothing | {"cids": chunk} for chunk in chunks(cids, _CHUNK))
    by_entry_id = (nothing | {"entry_ids": chunk} for chunk in chunks(entry_ids, _CHUNK))
    for parameters in chain(by_cid, by_entry_id):
        yield [HeldCid(*row) for row in conn.execute(_HELD_AT, parameters, binary=True)]


def cluster_id(conn: Connection) -> str:
    """Return which server this is, as system identifier and timeline: a restore or failover gives another one."""
    row = conn.execute(_CLUSTER).fetchone()
    return str(row[0]) if row else ""
