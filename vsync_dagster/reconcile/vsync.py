"""VSync: the XOR of all CIDs of one key type (Manual Operacional do DICT, chapter 9)."""

from collections.abc import Iterable

from vsync_dagster.reconcile.cid import CID_BYTES

EMPTY_VSYNC = bytes(CID_BYTES)


def xor(left: bytes, right: bytes) -> bytes:
    """XOR of two 32-byte values."""
    return (int.from_bytes(left) ^ int.from_bytes(right)).to_bytes(CID_BYTES)


def vsync(cids: Iterable[bytes]) -> bytes:
    """Return the VSync of a set of 32-byte CIDs; the empty set gives 32 zero bytes.

    XOR cancels: a CID given twice would vanish and make a false "in sync", so it counts once.
    """
    total = 0
    for cid in frozenset(cids):
        total ^= int.from_bytes(cid)
    return total.to_bytes(CID_BYTES)
