"""Sets of CIDs as numpy arrays of shape (n, 32), dtype uint8: one row a CID; large sets as streams of such blocks."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vsync_dagster.reconcile.cid import CID_BYTES

CidArray = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint64]

Rows = npt.NDArray[np.int64]

Choice = Callable[[Words], Rows]
"""Chooses rows of a block by the first eight bytes of each CID, (n,), in the machine's byte order."""


class CidStream(Protocol):
    """A CID set too large for memory, streamed as often as asked for: in blocks of any size, the same set each time."""

    def blocks(self) -> Iterator[CidArray]:
        """Yield all CIDs."""

    def chosen(self, choice: Choice) -> Iterator[CidArray]:
        """Yield the CIDs of each block that are chosen."""


# XOR runs at memory speed only in long rows: 64 CIDs side by side, nine times as fast as one.
_ABREAST = 64


def cid_array(cids: Iterable[bytes]) -> CidArray:
    """Return 32-byte CIDs as an array."""
    return np.frombuffer(b"".join(cids), dtype=np.uint8).reshape(-1, CID_BYTES)


def as_words(cids: CidArray) -> Words:
    """Return the CIDs as (n, 4) integers of 64 bits; their byte order is the machine's, and of no meaning."""
    return np.ascontiguousarray(cids).view(np.uint64)


@dataclass(frozen=True, slots=True)
class ArrayStream:
    """A stream of arrays; each call of `arrays` begins it anew."""

    arrays: Callable[[], Iterator[CidArray]]

    def blocks(self) -> Iterator[CidArray]:
        """Yield all CIDs."""
        return self.arrays()

    def chosen(self, choice: Choice) -> Iterator[CidArray]:
        """Yield the CIDs of each block that are chosen."""
        return (block[choice(as_words(block)[:, 0])] for block in self.arrays())


def row_set(cids: CidArray) -> frozenset[bytes]:
    """Return the CIDs as a set of 32-byte values; for small arrays only."""
    return frozenset(row.tobytes() for row in cids)


@dataclass(slots=True)
class Tally:
    """Count and XOR of the CIDs of a stream. In the XOR a CID that comes twice vanishes; in the count it does not."""

    count: int = 0
    _total: Words = field(default_factory=lambda: np.zeros(CID_BYTES // 8, dtype=np.uint64))

    def add(self, cids: CidArray) -> None:
        """Add a block."""
        words = as_words(cids)
        self.count += len(words)
        even = len(words) - len(words) % _ABREAST
        abreast = np.bitwise_xor.reduce(words[:even].reshape(-1, _ABREAST * words.shape[1]), axis=0)
        for part in (abreast.reshape(_ABREAST, -1), words[even:]):
            self._total ^= np.bitwise_xor.reduce(part, axis=0)

    @property
    def vsync(self) -> bytes:
        """The VSync, if no CID came twice."""
        return self._total.tobytes()
