"""A sketch of a CID set, in memory that does not depend on its size; two of them tell how the sets differ.

Each CID adds a number to one cell of each of two tables: what both sides hold makes equal sums, in whatever order it
comes. A CID that only one side holds leaves both of its cells unequal, so that a second look at the sets finds it among
few others. A CID that one side holds twice makes no cells equal.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vsync_dagster.reconcile.cid_set import CidArray, Rows, Words, as_words

# As many cells as keys, up to 8 MiB a table, which a processor's cache may still hold; 16 MiB for sets of more than 32
# million keys. There a hundred thousand differences make 5 % of the cells unequal, and let through one CID in 400
# besides; in half of it, 9 % and one in 120.
_CELL_BITS = (10, 20, 21)
_LARGE = 25
_CHUNK_ROWS = 32_768  # what is computed for a chunk stays near the processor; of smaller ones, each call costs more
# Any odd constants; with them the first eight bytes of a CID bear on its cells, and all of it on its number.
_PLACE, _NUMBER, _OFFSET = np.array([0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB], dtype=np.uint64)


class Sketch:
    """The sums of a side's CIDs in `tables`; `keys`, the same for both sides, is how many there are, about."""

    def __init__(self, keys: int) -> None:
        smallest, large, largest = _CELL_BITS
        bits = max(keys.bit_length(), smallest)
        self._shifts = _shifts(min(bits, large if bits <= _LARGE else largest))
        self.tables = [np.zeros(1 << (64 - self._shifts[0]), dtype=np.uint64) for _ in self._shifts]

    def add(self, cids: CidArray) -> None:
        """Add CIDs."""
        for chunk in _chunks(cids):
            words = as_words(chunk)
            places = _places(words[:, 0])
            numbers = _numbers(words, places)
            for table, shift in zip(self.tables, self._shifts, strict=True):
                np.add.at(table, _cells(places, shift, len(table)), numbers)

    def unlike(self, other: "Sketch") -> "Suspects":
        """Return what finds the CIDs that may be on one side only; `other` is the other side's."""
        return Suspects(self._shifts, [a != b for a, b in zip(self.tables, other.tables, strict=True)])


@dataclass(frozen=True, slots=True)
class Suspects:
    """Finds the CIDs both of whose cells are marked: all that are meant, and a few others."""

    _shifts: tuple[int, int]
    _marked: list[npt.NDArray[np.bool_]]

    def __bool__(self) -> bool:
        return bool(self._marked[0].any())

    def among(self, first_words: Words) -> Rows:
        """Return the rows of a block that hold suspects, by the first eight bytes of each of its CIDs."""
        if not self or not len(first_words):
            return np.empty(0, np.int64)
        starts = range(0, len(first_words), _CHUNK_ROWS)
        return np.concatenate([self._among(first_words[start : start + _CHUNK_ROWS]) + start for start in starts])

    def _among(self, first_words: Words) -> Rows:
        places, rows = _places(first_words), np.arange(len(first_words))
        for marked, shift in zip(self._marked, self._shifts, strict=True):
            # `take` gathers several times as fast as an index does.
            hits = np.flatnonzero(marked.take(_cells(places, shift, len(marked))))
            places, rows = places[hits], rows[hits]
        return rows


def _shifts(bits: int) -> tuple[int, int]:
    return (64 - bits, 64 - 2 * bits)


def _chunks(cids: CidArray) -> Iterator[CidArray]:
    for start in range(0, len(cids), _CHUNK_ROWS):
        yield cids[start : start + _CHUNK_ROWS]


def _places(first_words: Words) -> Words:
    places: Words = first_words * _PLACE
    return places


def _cells(places: Words, shift: int, count: int) -> Rows:
    """Return `places`' bits from `shift` on, as many as tell `count` cells apart."""
    cells = places >> np.uint64(shift)
    cells &= np.uint64(count - 1)
    return cells.view(np.int64)


def _numbers(words: Words, places: Words) -> Words:
    numbers: Words = (words[:, 3] + _OFFSET) * _NUMBER + words[:, 2]
    numbers += words[:, 1] * _PLACE
    numbers += places  # CIDs that share a cell and all else would have the same number
    return numbers
