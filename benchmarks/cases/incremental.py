"""An INCREMENTAL sync of a participant that is in sync: the work of its five assets, without Dagster's start."""

from benchmarks.measure import Place
from benchmarks.world import World, world

CASE = "INCREMENTAL sync, in sync: the work of its assets"
OURS = "whole"
AGAINST = {"a_tenth": ("itself at a tenth of the keys", 1 / 1.2)}
_made: list[World] = []


def prepare_whole(place: Place) -> None:
    """Make the participant."""
    _made.append(world(place, place.keys))


def prepare_a_tenth(place: Place) -> None:
    """Make the smaller participant."""
    _made.append(world(place, place.keys // 10))


def synced(_: Place) -> float:
    """Sync, and tell what the assets took."""
    return _made[0].sync("INCREMENTAL")


whole = a_tenth = synced
