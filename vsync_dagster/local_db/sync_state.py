"""How far each participant's key types are known to be in sync, and how far DICT's event log was read."""

from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from vsync_dagster.local_db.database import Connection

_SELECT = """
select key_type, verified_at, verified_vsync, excluded_cids, entries, read_whole_at,
    local_snapshot::text as local_snapshot, cluster, log_read_to, answered_at, true_ok_at
from sync_state where participant_ispb = %s
"""

# A run that ends late must not take back what a later run has proved.
_RECORD_VERIFIED = """
insert into sync_state as state (
    participant_ispb, key_type, verified_at, verified_vsync, excluded_cids, entries, read_whole_at, local_snapshot,
    cluster, answered_at, true_ok_at
)
values (
    %(ispb)s, %(key_type)s, %(verified_at)s, %(vsync)s, %(excluded_cids)s::bytea[], %(entries)s, %(read_whole_at)s,
    %(local_snapshot)s, %(cluster)s, %(verified_at)s,
    case when cardinality(%(excluded_cids)s::bytea[]) = 0 then %(verified_at)s end
)
on conflict (participant_ispb, key_type) do update
set verified_at = excluded.verified_at, verified_vsync = excluded.verified_vsync,
    excluded_cids = excluded.excluded_cids, entries = excluded.entries, read_whole_at = excluded.read_whole_at,
    local_snapshot = excluded.local_snapshot, cluster = excluded.cluster,
    answered_at = greatest(state.answered_at, excluded.answered_at),
    true_ok_at = coalesce(excluded.true_ok_at, state.true_ok_at), updated_at = now()
where state.verified_at is null or state.verified_at <= excluded.verified_at
"""

_RECORD_ANSWERED = """
insert into sync_state as state (participant_ispb, key_type, answered_at) values (%s, %s, %s)
on conflict (participant_ispb, key_type) do update
set answered_at = greatest(state.answered_at, excluded.answered_at), updated_at = now()
"""

_RECORD_LOG_POSITION = """
insert into sync_state as state (participant_ispb, key_type, log_read_to) values (%s, %s, %s)
on conflict (participant_ispb, key_type) do update
set log_read_to = greatest(state.log_read_to, excluded.log_read_to), updated_at = now()
"""


@dataclass(frozen=True, slots=True)
class SyncState:
    """One key type of one participant. Times are DICT's; what never happened is None.

    `verified_vsync` is what DICT called OK, computed from the snapshot `local_snapshot` of server `cluster` without
    the `excluded_cids`, which were under review; `entries` counts those too. `read_whole_at` is when our table was last
    read whole for it (our clock). `answered_at` is the last verification, OK or not; `true_ok_at` the last that
    was OK with no key left out.
    """

    key_type: str
    verified_at: datetime | None
    verified_vsync: bytes | None
    excluded_cids: list[bytes]
    entries: int | None
    read_whole_at: datetime | None
    local_snapshot: str | None
    cluster: str | None
    log_read_to: datetime | None
    answered_at: datetime | None
    true_ok_at: datetime | None


def get(conn: Connection, ispb: str) -> dict[str, SyncState]:
    """Return what is known, by key type; a key type that was never asked about is not in it."""
    with conn.cursor(row_factory=class_row(SyncState)) as cursor:
        return {state.key_type: state for state in cursor.execute(_SELECT, [ispb])}


def record_verified(
    conn: Connection,
    ispb: str,
    key_type: str,
    *,
    verified_at: datetime,
    vsync: bytes,
    local_snapshot: str,
    cluster: str,
    excluded_cids: list[bytes],
    entries: int,
    read_whole_at: datetime,
) -> None:
    """Keep a verification that was OK, unless a later one is kept already."""
    conn.execute(
        _RECORD_VERIFIED,
        {
            "ispb": ispb,
            "key_type": key_type,
            "verified_at": verified_at,
            "vsync": vsync,
            "local_snapshot": local_snapshot,
            "cluster": cluster,
            "excluded_cids": excluded_cids,
            "entries": entries,
            "read_whole_at": read_whole_at,
        },
    )


def answered(conn: Connection) -> dict[str, dict[str, datetime | None]]:
    """Return when DICT last answered a verification, OK or not: by participant, and by key type."""
    times: dict[str, dict[str, datetime | None]] = {}
    for ispb, key_type, answered_at in conn.execute("select participant_ispb, key_type, answered_at from sync_state"):
        times.setdefault(ispb, {})[key_type] = answered_at
    return times


def record_answered(conn: Connection, ispb: str, key_type: str, answered_at: datetime) -> None:
    """Keep that DICT answered a verification at a time, whatever the answer."""
    conn.execute(_RECORD_ANSWERED, [ispb, key_type, answered_at])


def record_log_position(conn: Connection, ispb: str, key_type: str, read_to: datetime) -> None:
    """Keep how far the event log was read; never goes back."""
    conn.execute(_RECORD_LOG_POSITION, [ispb, key_type, read_to])
