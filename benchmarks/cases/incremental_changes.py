"""An INCREMENTAL sync after changes at DICT that we have missed: the assets' work, look-ups and fixes included."""

from benchmarks.cases import incremental
from benchmarks.measure import Place
from benchmarks.world import World, world

CASE = "INCREMENTAL sync, 100 keys changed at DICT: the work of its assets, look-ups and fixes included"
OURS = "whole"
AGAINST = incremental.AGAINST
_CHANGES = 100
_made: list[World] = []


def prepare_whole(place: Place) -> None:
    """Make the participant, and change it at DICT."""
    _prepare(place, place.keys)


def prepare_a_tenth(place: Place) -> None:
    """Make the smaller participant, and change it at DICT."""
    _prepare(place, place.keys // 10)


def _prepare(place: Place, keys: int) -> None:
    made = world(place, keys)
    made.change(min(_CHANGES, keys // 10))
    _made.append(made)


def synced(_: Place) -> float:
    """Sync, and tell what the assets took."""
    return _made[0].sync("INCREMENTAL")


whole = a_tenth = synced
