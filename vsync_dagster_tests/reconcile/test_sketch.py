"""The sketch finds every CID that only one side holds, in whatever order and blocks both come."""

import random
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vsync_dagster.reconcile import sketch
from vsync_dagster.reconcile.cid_set import as_words, cid_array
from vsync_dagster.reconcile.sketch import Sketch, Suspects

# Few parts, so that CIDs share the bits that choose their cells, or those that make their number.
parts = st.sampled_from([bytes([number]) * 8 for number in (0, 1, 2, 127, 255)])
cids = st.tuples(parts, parts, parts, parts).map(b"".join) | st.binary(min_size=32, max_size=32)
cid_sets = st.frozensets(cids, max_size=30)
# The cells of 32 zeros, and all but the first eight bytes.
SAME_CELLS = pow(int(sketch._PLACE), -1, 2**64).to_bytes(8, sys.byteorder) + bytes(24)


def among(suspects: Suspects, cids: list[bytes]) -> frozenset[bytes]:
    return frozenset(cids[row] for row in suspects.among(as_words(cid_array(cids))[:, 0]))


def summed(keys: int, *blocks: list[bytes]) -> Sketch:
    found = Sketch(keys)
    for block in blocks:
        found.add(cid_array(block))
    return found


@example(frozenset({SAME_CELLS}), frozenset({bytes(32)}), random.Random(1), 1, 0)
@given(cid_sets, cid_sets, st.randoms(use_true_random=False), st.integers(1, 7), st.sampled_from([0, 30, 5_000]))
def test_every_cid_that_differs_is_a_suspect(
    ours: frozenset[bytes], theirs: frozenset[bytes], order: random.Random, block: int, keys: int
) -> None:
    shuffled = sorted(theirs)
    order.shuffle(shuffled)
    blocks = [shuffled[start : start + block] for start in range(0, len(shuffled), block)]

    suspects = summed(keys, sorted(ours)).unlike(summed(keys, *blocks))

    assert ours - theirs <= among(suspects, sorted(ours))
    assert theirs - ours <= among(suspects, sorted(theirs))
    assert bool(suspects) == (ours != theirs)


@pytest.mark.parametrize("held", [100_000, 5_000])
def test_few_others_are_suspects(held: int) -> None:
    source = random.Random(1)
    cids = [source.randbytes(32) for _ in range(held)]
    differing = held // 100

    suspects = summed(held, cids).unlike(summed(held, cids[:-differing]))

    found = among(suspects, cids)
    assert found >= frozenset(cids[-differing:])
    assert len(found) < differing + held / 1_000


@pytest.mark.parametrize("times", [2, 3])
@pytest.mark.parametrize("elsewhere", [0, 1])
def test_a_cid_that_one_side_holds_more_often_is_a_suspect(times: int, elsewhere: int) -> None:
    cid = b"\x01" * 32

    suspects = summed(1, [cid] * elsewhere).unlike(summed(1, [cid] * times))

    assert among(suspects, [cid]) == {cid}
