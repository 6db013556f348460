"""Two CID sets in memory, 10,000 on each side only: the sketch against joins and sets."""

from collections.abc import Iterator
from functools import partial
from importlib import import_module

import numpy as np
import polars as pl

from benchmarks.data import Cids, shifted_cids
from benchmarks.measure import Place
from vsync_dagster.reconcile.cid_set import ArrayStream
from vsync_dagster.reconcile.difference import compare

CASE = "set difference in memory, 10,000 CIDs differing each way"
OURS = "sketch"
AGAINST = {
    "polars_binary": ("Polars anti-joins on Binary", 10.0),
    "python_sets": ("Python sets", 15.0),
    "duckdb_prefixes": ("DuckDB anti-joins on 64-bit prefixes", 4.0),
}
_sides: list[Cids] = []


def _prepare(place: Place) -> None:
    _sides.extend(shifted_cids(place.keys, min(10_000, place.keys // 10)))


def _frames() -> list[pl.DataFrame]:
    return [pl.DataFrame({"cid": pl.Series(side).arr.to_list().cast(pl.Binary)}) for side in _sides]


prepare_sketch = _prepare


def sketch(place: Place) -> None:
    """Ours."""
    ours, theirs = (ArrayStream(partial(_blocks, side)) for side in _sides)
    found = compare(ours, theirs, place.keys).found
    _check(place, len(found.only_ours), len(found.only_theirs))


_made: list[object] = []


def prepare_polars_binary(place: Place) -> None:
    """Make the frames: they are not what is measured."""
    _prepare(place)
    _made.extend(_frames())


def polars_binary(place: Place) -> None:
    """Polars, whole CIDs."""
    ours, theirs = (frame for frame in _made if isinstance(frame, pl.DataFrame))
    _check(place, len(ours.join(theirs, on="cid", how="anti")), len(theirs.join(ours, on="cid", how="anti")))


def prepare_python_sets(place: Place) -> None:
    """Make the CIDs bytes; making the sets of them is measured."""
    _prepare(place)
    _made.extend(frame["cid"].to_list() for frame in _frames())


def python_sets(place: Place) -> None:
    """Python."""
    ours, theirs = (set(cids) for cids in _made if isinstance(cids, list))
    _check(place, len(ours - theirs), len(theirs - ours))


def prepare_duckdb_prefixes(place: Place) -> None:
    """Make the frames of prefixes."""
    _prepare(place)
    import_module("duckdb")
    _made.extend(pl.DataFrame({"prefix": np.ascontiguousarray(side[:, :8]).view(np.uint64)[:, 0]}) for side in _sides)


def duckdb_prefixes(place: Place) -> None:
    """DuckDB."""
    ours, theirs = _made
    connection = import_module("duckdb").connect()
    connection.register("ours", ours.to_arrow() if isinstance(ours, pl.DataFrame) else ours)
    connection.register("theirs", theirs.to_arrow() if isinstance(theirs, pl.DataFrame) else theirs)
    counts = [
        connection.sql(f"select count(*) from {one} anti join {other} using (prefix)").fetchall()[0][0]
        for one, other in (("ours", "theirs"), ("theirs", "ours"))
    ]
    _check(place, *counts)


def _blocks(side: Cids) -> Iterator[Cids]:
    for start in range(0, len(side), 131_072):
        yield side[start : start + 131_072]


def _check(place: Place, only_ours: int, only_theirs: int) -> None:
    expected = min(10_000, place.keys // 10)
    if (only_ours, only_theirs) != (expected, expected):
        raise AssertionError(f"{only_ours} and {only_theirs} differ, not {expected}")
