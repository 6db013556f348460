"""Entries as DICT answered a look-up by CID, kept until they are applied. All of it is personal data."""

from collections.abc import Iterable, Sequence
from typing import Any

from psycopg.sql import SQL, Placeholder

from vsync_dagster.local_db.database import Connection
from vsync_dagster.local_db.entry_columns import ENTRY_COLUMNS, column_list, entry_values
from vsync_dagster.reconcile.entry import Entry

# An entry's own participant is the one that was asked about: it is the table's participant.
_STAGE = SQL(
    """
    insert into looked_up_entries (cid, {columns}) values ({values})
    on conflict (participant_ispb, cid) do nothing
    """
).format(columns=column_list(), values=SQL(", ").join([Placeholder()] * (len(ENTRY_COLUMNS) + 1)))
_STAGED = SQL("select cid, {} from looked_up_entries where participant_ispb = %s and cid = any(%s)").format(
    column_list()
)


def stage(conn: Connection, entries: Iterable[Entry]) -> None:
    """Keep entries under their participant and their CID, which is computed here; a second time changes nothing."""
    rows: list[tuple[Any, ...]] = [(entry.cid(), *entry_values(entry)) for entry in entries]
    with conn.cursor() as cursor:
        cursor.executemany(_STAGE, rows)


def staged(conn: Connection, ispb: str, cids: Sequence[bytes]) -> dict[bytes, Entry]:
    """Return those of the entries that are kept, by CID."""
    return {cid: Entry(*values) for cid, *values in conn.execute(_STAGED, [ispb, list(cids)])}


def known_cids(conn: Connection, ispb: str, cids: Sequence[bytes]) -> set[bytes]:
    """Return which CIDs need not be looked up again."""
    rows = conn.execute(
        "select cid from looked_up_entries where participant_ispb = %s and cid = any(%s)", [ispb, list(cids)]
    )
    return {cid for (cid,) in rows}


def delete(conn: Connection, ispb: str, cids: Sequence[bytes]) -> None:
    """Forget entries that were applied or are of no use any more."""
    conn.execute("delete from looked_up_entries where participant_ispb = %s and cid = any(%s)", [ispb, list(cids)])
