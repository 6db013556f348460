"""The participant's own base, from the outside: seeding its `entries` table, and tampering with it in plain SQL.

The caller owns the connection and commits. A base that the simulator may write to carries its mark, an empty schema: a
variable that names a production base by mistake must not fill it with made-up keys, nor change real ones.
"""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import psycopg

from vsync_dagster.reconcile.entry import Entry
from vsync_dagster.reconcile.errors import RefusedError


class SimulatorRefusedError(RefusedError):
    """The simulator would write to a base that is not its own."""

    code = "demonstration"

    def __init__(self) -> None:
        super().__init__(
            "VSYNC_DATABASE_URL holds keys that the simulator did not make: name an empty database, freshly migrated"
        )


_COPY = """
    COPY entries (key, key_type, participant_ispb, branch, account_number, account_type, account_opened_at,
        owner_type, owner_tax_id, owner_name, owner_trade_name, request_id, cid, status, created_at, key_owned_since)
    FROM STDIN (FORMAT BINARY)
"""
# char and varchar travel as text does, and psycopg writes no others in binary.
_COPY_TYPES = (
    "text", "text", "text", "text", "text", "text", "timestamptz", "text", "text", "text", "text", "uuid",
    "bytea", "text", "timestamptz", "timestamptz",
)  # fmt: skip
# By chance, and the same rows for the same seed: sorted by a hash of CID and seed, the key types taking turns. One
# attribute of each changes, to what it cannot have been before; its CID does not.
_TAMPER = """
    WITH ranked AS (
        SELECT entry_id, key_type,
            row_number() OVER (PARTITION BY key_type ORDER BY sha256(cid || %(seed)s)) AS turn
        FROM entries
        WHERE participant_ispb = %(ispb)s AND key_type = ANY(%(key_types)s) AND status = 'ACTIVE'
            AND NOT cid = ANY(%(spared)s)
    ), picked AS (
        SELECT entry_id, row_number() OVER (ORDER BY turn, key_type) %% 2 = 0 AS rename
        FROM ranked ORDER BY turn, key_type LIMIT %(count)s
    )
    UPDATE entries SET
        owner_name = CASE WHEN rename THEN left(owner_name, 140) || ' Adulterado' ELSE owner_name END,
        account_number = CASE WHEN rename THEN account_number
            ELSE translate(account_number, '0123456789', '1234567890') END
    FROM picked WHERE entries.entry_id = picked.entry_id
    RETURNING entries.entry_id
"""


_MARK = "vsync_simulator"


def mark(connection: psycopg.Connection[Any]) -> None:
    """Mark a base as one that the simulator may write to, if it holds no keys yet.

    Raises:
        SimulatorRefusedError: it holds keys, and has no mark.
    """
    if is_marked(connection):
        return
    if connection.execute("select from entries limit 1").rowcount:
        raise SimulatorRefusedError
    connection.execute(f"create schema {_MARK}".encode())
    connection.execute(f"comment on schema {_MARK} is 'This base holds made-up keys: the simulator may write'".encode())


def require_mark(connection: psycopg.Connection[Any]) -> None:
    """Let nobody change a base without the mark.

    Raises:
        SimulatorRefusedError: it has none.
    """
    if not is_marked(connection):
        raise SimulatorRefusedError


def is_marked(connection: psycopg.Connection[Any]) -> bool:
    """Tell whether the simulator may write to a base."""
    return connection.execute("select from pg_namespace where nspname = %s", [_MARK]).rowcount == 1


def seed_local(connection: psycopg.Connection[Any], entries: Iterable[Entry]) -> int:
    """Copy entries into the participant's base as ACTIVE rows, streamed; return how many."""
    count = 0
    with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        copy.set_types(_COPY_TYPES)
        for entry in entries:
            copy.write_row(_to_row(entry))
            count += 1
    return count


def tamper(
    connection: psycopg.Connection[Any],
    ispb: str,
    key_types: Sequence[str],
    count: int,
    seed: str,
    spared: Sequence[bytes],
) -> list[UUID]:
    """Change owner name or account number of up to `count` ACTIVE rows without their CIDs; return their entry ids.

    Rows with a CID in `spared` are left alone.
    """
    parameters = {
        "ispb": ispb,
        "key_types": list(key_types),
        "count": count,
        "seed": seed.encode(),
        "spared": list(spared),
    }
    return [entry_id for (entry_id,) in connection.execute(_TAMPER, parameters)]


def _to_row(entry: Entry) -> tuple[object, ...]:
    return (
        entry.key,
        entry.key_type,
        entry.participant,
        entry.branch,
        entry.account_number,
        entry.account_type,
        entry.account_opened_at,
        entry.owner_type,
        entry.owner_tax_id,
        entry.owner_name,
        entry.owner_trade_name,
        entry.request_id,
        entry.cid(),
        "ACTIVE",
        entry.created_at,
        entry.key_owned_since,
    )
