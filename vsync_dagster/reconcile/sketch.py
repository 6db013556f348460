"""A sketch of how two CID sets differ, in memory that does not depend on their sizes.

Each CID adds a number to one cell of each of two tables, and the other side's subtracts it: what both sides hold
cancels out, in whatever order it comes. A CID that only one side holds leaves both of its cells unequal to zero, so
that a second look at the sets finds it among few others. A CID that one side holds twice cancels nowhere.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from vsync_dagster.reconcile.cid_set import CidArray, as_words

Side = Literal["ours", "theirs"]

# As many cells as keys; at most 16 MiB a table. There a hundred thousand differences make 5 % of the cells unequal, and
# let through one CID in 400 besides.
_CELL_BITS = (10, 21)
_CHUNK_ROWS = 8_192  # what is computed for a chunk stays inside the L2 cache, and is not mapped anew each time
# Any odd constants; with them all of a CID bears on its cells and its number, whatever the CIDs have in common.
_PLACE, _NUMBER, _OFFSET = np.array([0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB], dtype=np.uint64)

Numbers = npt.NDArray[np.uint64]
Cells = npt.NDArray[np.int64]


class Sketch:
    """The sums of both sides' CIDs; `keys` is how many of them there are, about, on either side."""

    def __init__(self, keys: int) -> None:
        smallest, largest = _CELL_BITS
        bits = min(max(keys.bit_length(), smallest), largest)
        self._shifts = (64 - bits, 64 - 2 * bits)
        self._tables = [np.zeros(1 << bits, dtype=np.uint64) for _ in self._shifts]

    def add(self, cids: CidArray, side: Side) -> None:
        """Add CIDs of a side."""
        put = np.add if side == "ours" else np.subtract
        for chunk in _chunks(cids):
            numbers = _numbers(chunk)
            places = _places(chunk)
            for table, shift in zip(self._tables, self._shifts, strict=True):
                put.at(table, _cells(places, shift, len(table)), numbers)

    def suspects(self) -> "Suspects":
        """Return what finds the CIDs that may be on one side only."""
        return Suspects(self._shifts, [table != 0 for table in self._tables])


@dataclass(frozen=True, slots=True)
class Suspects:
    """Finds the CIDs both of whose cells are unequal: all that differ, and a few others."""

    _shifts: tuple[int, int]
    _unequal: list[npt.NDArray[np.bool_]]

    def __bool__(self) -> bool:
        return bool(self._unequal[0].any())

    def among(self, cids: CidArray) -> CidArray:
        """Return the suspects of a block."""
        return np.concatenate([cids[:0], *(self._among(chunk) for chunk in _chunks(cids))])

    def _among(self, cids: CidArray) -> CidArray:
        places, rows = _places(cids), np.arange(len(cids))
        for unequal, shift in zip(self._unequal, self._shifts, strict=True):
            rows = rows[unequal[_cells(places[rows], shift, len(unequal))]]
        return cids[rows]


def _chunks(cids: CidArray) -> Iterator[CidArray]:
    for start in range(0, len(cids), _CHUNK_ROWS):
        yield cids[start : start + _CHUNK_ROWS]


def _places(cids: CidArray) -> Numbers:
    words = as_words(cids)
    places: Numbers = words[:, 1] * _PLACE + words[:, 0]
    return places


def _cells(places: Numbers, shift: int, count: int) -> Cells:
    """Return `places`' bits from `shift` on, as many as tell `count` cells apart."""
    cells = places >> np.uint64(shift)
    cells &= np.uint64(count - 1)
    return cells.view(np.int64)


def _numbers(cids: CidArray) -> Numbers:
    words = as_words(cids)
    numbers: Numbers = (words[:, 3] + _OFFSET) * _NUMBER + words[:, 2]
    return numbers
