"""The sketch finds every CID that only one side holds, in whatever order and blocks both come."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsync_dagster.reconcile.cid_set import cid_array, row_set
from vsync_dagster.reconcile.sketch import Sketch

# Few halves, so that CIDs share the bits that choose their cells, or those that make their number.
halves = st.sampled_from([bytes([number]) * 16 for number in (0, 1, 2, 127, 255)])
cids = st.builds(bytes.__add__, halves, halves) | st.binary(min_size=32, max_size=32)
cid_sets = st.frozensets(cids, max_size=30)


@given(cid_sets, cid_sets, st.randoms(use_true_random=False), st.integers(1, 7), st.sampled_from([0, 30, 5_000]))
def test_every_cid_that_differs_is_a_suspect(
    ours: frozenset[bytes], theirs: frozenset[bytes], order: random.Random, block: int, keys: int
) -> None:
    sketch = Sketch(keys)
    shuffled = sorted(theirs)
    order.shuffle(shuffled)
    sketch.add(cid_array(sorted(ours)), "ours")
    for start in range(0, len(shuffled), block):
        sketch.add(cid_array(shuffled[start : start + block]), "theirs")

    suspects = sketch.suspects()

    assert ours - theirs <= row_set(suspects.among(cid_array(ours)))
    assert theirs - ours <= row_set(suspects.among(cid_array(theirs)))
    assert bool(suspects) == (ours != theirs)


def test_few_others_are_suspects() -> None:
    source = random.Random(1)
    held = [source.randbytes(32) for _ in range(100_000)]
    sketch = Sketch(len(held))
    sketch.add(cid_array(held), "ours")
    sketch.add(cid_array(held[1_000:]), "theirs")

    suspects = sketch.suspects()

    assert row_set(suspects.among(cid_array(held[:1_000]))) == frozenset(held[:1_000])
    assert len(suspects.among(cid_array(held[1_000:]))) < 10


@pytest.mark.parametrize("times", [2, 3])
@pytest.mark.parametrize("elsewhere", [0, 1])
def test_a_cid_that_one_side_holds_more_often_is_a_suspect(times: int, elsewhere: int) -> None:
    cid, sketch = b"\x01" * 32, Sketch(1)
    for _ in range(times):
        sketch.add(cid_array([cid]), "theirs")
    for _ in range(elsewhere):
        sketch.add(cid_array([cid]), "ours")

    assert row_set(sketch.suspects().among(cid_array([cid]))) == {cid}
