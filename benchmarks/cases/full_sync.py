"""A FULL sync through Dagster in this process, against a DICT in another: fixes included, look-ups done before."""

import time

from benchmarks.cases import compare
from benchmarks.measure import Place
from benchmarks.world import World, world
from vsync_dagster.local_db import lookups
from vsync_dagster.local_db.encryption import Cipher
from vsync_dagster.sync.dict_set import OVERLAP

CASE = "FULL sync through Dagster, end to end, 20,000 keys (one in 50 at most) outdated, look-ups taken out"
OURS = "synced"
AGAINST = {"compared": ("VSYNC's own reading and comparing of table and CID file alone", 1 / 3)}
_made: list[World] = []

prepare_compared = compare.prepare_vsync
compared = compare.vsync


def prepare_synced(place: Place) -> None:
    """Make the participant, change it at DICT, and have its entries looked up already."""
    made = world(place, place.keys)
    changed = made.change(min(20_000, place.keys // 50))
    cipher = Cipher(made.variables.encryption_keys)
    made.database.retrying(lambda connection: lookups.stage(connection, cipher, changed), bulk=True)
    # The log of the last minute is read again beside a CID file; on a usual day it is not all of the changes.
    time.sleep(1.1 * OVERLAP.total_seconds())
    _made.append(made)


def synced(_: Place) -> None:
    """Ours, Dagster's part included."""
    _made[0].sync("FULL")
