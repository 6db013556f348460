"""Two CID sets, each from its file, told apart in memory that does not grow with them."""

from collections.abc import Iterator
from pathlib import Path

from benchmarks.data import Cids, random_cids, write_cid_file
from benchmarks.measure import Place
from vsync_dagster.dict_api.cid_file import CidFile
from vsync_dagster.reconcile.difference import compare

CASE = "two CID sets from files, 10,000 CIDs differing each way"
OURS = "whole"
AGAINST = {"a_tenth": ("itself at a tenth of the keys", 1 / 12)}


def whole(place: Place) -> None:
    """Ours."""
    _compare(place, place.keys)


def a_tenth(place: Place) -> None:
    """The same, smaller."""
    _compare(place, place.keys // 10)


def prepare_whole(place: Place) -> None:
    """Write the files."""
    _prepare(place, place.keys)


def prepare_a_tenth(place: Place) -> None:
    """Write the smaller files."""
    _prepare(place, place.keys // 10)


def _compare(place: Place, keys: int) -> None:
    ours, theirs = (CidFile(path) for path in _paths(place, keys))
    found = compare(ours, theirs, keys).found
    if (len(found.only_ours), len(found.only_theirs)) != (_differing(keys), _differing(keys)):
        raise AssertionError(f"{len(found.only_ours)} and {len(found.only_theirs)} differ, not {_differing(keys)}")


def _prepare(place: Place, keys: int) -> None:
    for path, seed in zip(_paths(place, keys), (2, 3), strict=True):
        if not path.exists():
            write_cid_file(path, _cids(keys, seed))


def _cids(keys: int, seed: int) -> Iterator[Cids]:
    """Yield CIDs that both have, in an order of each one's own, and some that only one has."""
    yield from (block[:: 1 if seed == 2 else -1] for block in random_cids(keys - _differing(keys), 1))
    yield from random_cids(_differing(keys), seed)


def _differing(keys: int) -> int:
    return min(10_000, keys // 10)


def _paths(place: Place, keys: int) -> list[Path]:
    return [Path(place.folder) / f"{keys}-{side}.cids" for side in ("ours", "theirs")]
