"""Recomputing the CID of each row of a participant's table from its attributes, which finds what was tampered with."""

from uuid import UUID

import psycopg

from benchmarks.data import ISPB
from benchmarks.measure import Place
from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.snapshot import read_snapshot
from vsync_dagster.reconcile.cid import EntryAttributes, compute_cid

CASE = "recomputing each CID of a table from its attributes"
OURS = "integrity"
AGAINST = {
    "in_hand": ("a Python loop on one core, the attributes already in its memory", 3.0),
    "loop": ("the same loop, the attributes out of PostgreSQL", 3.0),
}
_ROWS = (
    "select key_type, key, owner_tax_id, owner_name, owner_trade_name, participant_ispb, branch, account_number,"
    " account_type, request_id, cid from entries where participant_ispb = %s and status = 'ACTIVE'"
)
_SAMPLE = 100_000  # as many as are in memory at a time
_sample: list[tuple[EntryAttributes, UUID, bytes]] = []


def integrity(place: Place) -> None:
    """Ours: out of PostgreSQL, counted and XORed as well."""
    found = read_snapshot(Database(place.url), ISPB, integrity=True)
    _check(place, sum(held.entries for held in found.key_types.values()), len(found.tampered))


def prepare_in_hand(place: Place) -> None:
    """Fetch some rows."""
    with psycopg.connect(place.url) as connection:
        rows = connection.execute(f"{_ROWS} limit {_SAMPLE}".encode(), [ISPB]).fetchall()
    _sample.extend((EntryAttributes(*row[:9]), row[9], row[10]) for row in rows)


def in_hand(place: Place) -> None:
    """As often as there are keys, over the same few rows: ten million would not fit into memory."""
    tampered = 0
    for start in range(0, place.keys, len(_sample)):
        rows = _sample[: place.keys - start]
        tampered += sum(compute_cid(attributes, request_id) != cid for attributes, request_id, cid in rows)
    _check(place, place.keys, tampered)


def loop(place: Place) -> None:
    """Row by row, as psycopg streams them."""
    count = tampered = 0
    with psycopg.connect(place.url) as connection, connection.cursor(name="rows", binary=True) as cursor:
        cursor.itersize = _SAMPLE
        for row in cursor.execute(_ROWS, [ISPB]):
            count += 1
            tampered += compute_cid(EntryAttributes(*row[:9]), row[9]) != row[10]
    _check(place, count, tampered)


def _check(place: Place, count: int, tampered: int) -> None:
    if (count, tampered) != (place.keys, 0):
        raise AssertionError(f"{tampered} of {count} rows were tampered with")
