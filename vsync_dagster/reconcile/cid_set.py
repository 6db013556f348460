"""Sets of CIDs as numpy arrays of shape (n, 32), dtype uint8: one row a CID."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from vsync_dagster.reconcile.cid import CID_BYTES

CidArray = npt.NDArray[np.uint8]

# XOR runs at memory speed only while a block stays inside the L2 cache.
_BLOCK_ROWS = 4096


def cid_array(cids: Iterable[bytes]) -> CidArray:
    """Return 32-byte CIDs as an array."""
    return np.frombuffer(b"".join(cids), dtype=np.uint8).reshape(-1, CID_BYTES)


def array_vsync(cids: CidArray) -> bytes:
    """Return the VSync of an array that holds each CID once (see `has_duplicates`)."""
    words = np.ascontiguousarray(cids).view(np.uint64)
    total = np.zeros(words.shape[1] if len(words) else CID_BYTES // 8, dtype=np.uint64)
    for start in range(0, len(words), _BLOCK_ROWS):
        total ^= np.bitwise_xor.reduce(words[start : start + _BLOCK_ROWS], axis=0)
    return total.tobytes()


def has_duplicates(cids: CidArray) -> bool:
    """Tell whether any CID stands in the array twice; in an XOR such a pair would vanish."""
    return len(np.unique(_rows(cids))) != len(cids)


def difference(ours: CidArray, theirs: CidArray) -> tuple[CidArray, CidArray]:
    """Return (only ours, only theirs).

    Both arrays are sorted by their first eight bytes and matched there; whole CIDs are then compared, and the rare
    CIDs that share those eight bytes with another are matched one by one.
    """
    ours, theirs = _sorted(ours), _sorted(theirs)
    our_prefix, their_prefix = _prefix(ours), _prefix(theirs)
    shared = _shared_prefixes(our_prefix, their_prefix)
    our_crowd, their_crowd = np.isin(our_prefix, shared), np.isin(their_prefix, shared)
    only_ours = ours[~our_crowd & ~_matched(ours, our_prefix, theirs, their_prefix)]
    only_theirs = theirs[~their_crowd & ~_matched(theirs, their_prefix, ours, our_prefix)]
    our_rest, their_rest = row_set(ours[our_crowd]), row_set(theirs[their_crowd])
    return (
        np.concatenate([only_ours, cid_array(sorted(our_rest - their_rest))]),
        np.concatenate([only_theirs, cid_array(sorted(their_rest - our_rest))]),
    )


def row_set(cids: CidArray) -> frozenset[bytes]:
    """Return the CIDs as a set of 32-byte values; for small arrays only."""
    return frozenset(row.tobytes() for row in cids)


def _prefix(cids: CidArray) -> npt.NDArray[np.uint64]:
    return np.ascontiguousarray(cids[:, :8]).view(np.uint64).reshape(-1)


def _rows(cids: CidArray) -> npt.NDArray[np.void]:
    return np.ascontiguousarray(cids).view(np.dtype((np.void, CID_BYTES))).reshape(-1)


def _sorted(cids: CidArray) -> CidArray:
    return cids[np.argsort(_prefix(cids), kind="stable")]


def _shared_prefixes(*sides: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Return the prefixes that two CIDs of one side have in common."""
    return np.concatenate([prefix[1:][prefix[1:] == prefix[:-1]] for prefix in sides])


def _matched(
    cids: CidArray, prefix: npt.NDArray[np.uint64], others: CidArray, other_prefix: npt.NDArray[np.uint64]
) -> npt.NDArray[np.bool_]:
    """Tell for each CID whether the other side, sorted by prefix, holds the whole of it."""
    if not len(others):
        return np.zeros(len(cids), dtype=np.bool_)
    at = np.minimum(np.searchsorted(other_prefix, prefix), len(others) - 1)
    candidates = np.flatnonzero(other_prefix[at] == prefix)
    matched = np.zeros(len(cids), dtype=np.bool_)
    matched[candidates] = (cids[candidates] == others[at[candidates]]).all(axis=1)
    return matched
