import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsync_dagster.reconcile.cid_set import Tally, cid_array, row_set
from vsync_dagster.reconcile.vsync import vsync

cid_lists = st.lists(st.binary(min_size=32, max_size=32), unique=True, max_size=40)


@given(st.lists(cid_lists, max_size=3))
def test_a_tally_is_the_count_and_the_vsync_of_all_blocks(blocks: list[list[bytes]]) -> None:
    tally = Tally()
    for block in blocks:
        tally.add(cid_array(block))

    once = {cid for block in blocks for cid in block if sum(cid in other for other in blocks) % 2}
    assert (tally.count, tally.vsync) == (sum(map(len, blocks)), vsync(once))


@pytest.mark.parametrize("count", [63, 64, 65, 128, 10_000])
def test_a_tally_goes_over_the_borders_of_what_it_adds_at_once(count: int) -> None:
    held = [number.to_bytes(32) for number in range(count)]
    tally = Tally()
    tally.add(cid_array(held))

    assert (tally.count, tally.vsync) == (count, vsync(held))


def test_a_cid_that_comes_twice_shows_in_the_count() -> None:
    tally = Tally()
    for _ in range(2):
        tally.add(cid_array([b"\x01" * 32]))

    assert (tally.count, tally.vsync) == (2, bytes(32))


@given(cid_lists)
def test_rows_are_the_cids(cids: list[bytes]) -> None:
    assert row_set(cid_array(cids)) == frozenset(cids)
