"""The VSyncs of a participant's table, against copying its `cid` column out of PostgreSQL to nowhere."""

import psycopg

from benchmarks.data import ISPB
from benchmarks.measure import Place
from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.snapshot import read_snapshot

CASE = "VSyncs of a table in PostgreSQL"
OURS = "vsyncs"
AGAINST = {"copy": ("`COPY` of its `cid` column to /dev/null", 1 / 1.2)}
_COPY = (
    f"copy (select cid from entries where participant_ispb = '{ISPB}' and status = 'ACTIVE')"
    " to program 'cat > /dev/null' (format binary)"
)


def vsyncs(place: Place) -> None:
    """Ours."""
    found = read_snapshot(Database(place.url), ISPB).key_types
    if sum(held.entries for held in found.values()) != place.keys:
        raise AssertionError(found)


def copy(place: Place) -> None:
    """The floor."""
    with psycopg.connect(place.url) as connection:
        connection.execute(_COPY.encode())
