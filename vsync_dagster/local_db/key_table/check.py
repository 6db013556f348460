"""What has come loose since a key table was attached, or since `entries` was made."""

from collections.abc import Iterator
from dataclasses import dataclass

from vsync_dagster.local_db.database import Connection
from vsync_dagster.local_db.key_table.attach import GONE, view_is_gone, view_of
from vsync_dagster.local_db.key_table.mapping import KeyMapping, KeyMappingError, parse
from vsync_dagster.local_db.key_table.triggers import LEDGER_TRIGGERS
from vsync_dagster.reconcile.cid import EntryAttributes, compute_cid
from vsync_dagster.reconcile.errors import RefusedError

SAMPLE = 1_000

_MAPPING = "select mapping from key_table"
_MOVED = """
select from key_table k
where not exists (
    select from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.oid = keys_kept_in() and n.nspname = k.schema_name and c.relname = k.table_name
)
"""
_TRIGGERS = """
select tgname::text from pg_trigger where tgrelid = keys_kept_in() and tgname = any(%s) and tgenabled = 'A'
"""
_INDEXES = """
select c.relname::text from pg_index i join pg_class c on c.oid = i.indexrelid
where i.indrelid = keys_kept_in() and i.indisvalid and i.indisready
    and (i.indisunique or c.relname::text !~ '_(active_key|active_cid|entry_id)_')
"""
_COUNTS = """
select participant_ispb::text, count(*) filter (where status = 'ACTIVE'), count(*) filter (where status = 'PENDING'),
    count(*) filter (where status not in ('ACTIVE', 'PENDING', 'DELETED'))
from entries group by participant_ispb order by participant_ispb
"""
_SAMPLE = """
select key_type, key, owner_tax_id, owner_name, owner_trade_name, participant_ispb::text, branch, account_number,
    account_type, request_id, cid
from entries where status = 'ACTIVE' limit %s
"""


@dataclass(frozen=True, slots=True)
class Counted:
    """A participant's rows by status; `unknown` have one that no word of ours stands for."""

    ispb: str
    active: int
    pending: int
    unknown: int


def mapping_in_force(conn: Connection) -> KeyMapping | None:
    """Return the mapping of the table that is attached; None where the keys are in our own."""
    row = conn.execute(_MAPPING).fetchone()
    return None if row is None else parse(row[0])


def require_same_table(conn: Connection) -> None:
    """See that the table of that name is the one that `entries` shows: a table that was renamed takes the view along.

    Raises:
        RefusedError: it is another, or is gone; a sync would compare, and repair, what nobody uses any more.
    """
    if view_is_gone(conn):
        raise RefusedError(GONE, code="key-table-changed")
    if conn.execute(_MOVED).fetchone() is not None:
        raise RefusedError(
            "the key table was renamed or replaced since it was attached: `vsync key-table attach` it again",
            code="key-table-changed",
        )


def findings(conn: Connection) -> Iterator[str]:
    """Yield what is wrong, each in a sentence that says what to do. Reads the catalog only.

    Raises:
        RefusedError: the table is not the one that was attached.
    """
    require_same_table(conn)
    mapping = mapping_in_force(conn)
    in_force = {name for (name,) in conn.execute(_TRIGGERS, [list(LEDGER_TRIGGERS)])}
    mend = "`vsync migrate` made it: `alter table entries enable always trigger` puts it in force"
    if mapping is not None:
        mend = "`vsync key-table attach` the table again"
    for name in LEDGER_TRIGGERS:
        if name not in in_force:
            yield f"the trigger {name} is missing or not in force, and the ledger does not tell everything: {mend}"
    if mapping is not None:
        yield from _of_mapping(conn, mapping)


def _of_mapping(conn: Connection, mapping: KeyMapping) -> Iterator[str]:
    try:
        wanted = view_of(conn, mapping).indexes()
    except KeyMappingError as error:
        yield str(error)
        return
    valid = {name for (name,) in conn.execute(_INDEXES)}
    for name in wanted:
        if name not in valid:
            yield f"the index {name} is missing or invalid: drop it, and `vsync key-table attach` the table again"


def count(conn: Connection) -> list[Counted]:
    """Return each participant's rows by status. Reads the whole table."""
    return [Counted(*row) for row in conn.execute(_COUNTS)]


def sample(conn: Connection) -> tuple[int, int]:
    """Return of how many active rows the CID was computed again, at most `SAMPLE`, and of how many it was another."""
    rows = conn.execute(_SAMPLE, [SAMPLE]).fetchall()
    other = sum(compute_cid(EntryAttributes(*row[:9]), row[9]) != row[10] for row in rows)
    return len(rows), other
