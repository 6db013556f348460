from hypothesis import given
from hypothesis import strategies as st

from vsync_dagster.reconcile.cid_set import array_vsync, cid_array, difference, has_duplicates, row_set
from vsync_dagster.reconcile.vsync import vsync

# Few first bytes, so that CIDs often share the eight that `difference` sorts by.
cids = st.builds(lambda head, tail: bytes([head]) * 8 + bytes([tail]) * 24, st.integers(0, 3), st.integers(0, 255))
cid_sets = st.frozensets(cids | st.binary(min_size=32, max_size=32), max_size=40)


@given(cid_sets, cid_sets)
def test_difference_is_the_set_difference_both_ways(ours: frozenset[bytes], theirs: frozenset[bytes]) -> None:
    only_ours, only_theirs = difference(cid_array(ours), cid_array(theirs))

    assert row_set(only_ours) == ours - theirs
    assert row_set(only_theirs) == theirs - ours
    assert len(only_ours) == len(ours - theirs)
    assert len(only_theirs) == len(theirs - ours)


@given(cid_sets)
def test_array_vsync_is_the_vsync_of_the_set(held: frozenset[bytes]) -> None:
    assert array_vsync(cid_array(held)) == vsync(held)


def test_array_vsync_goes_over_block_borders() -> None:
    held = [number.to_bytes(32) for number in range(1, 10_001)]

    assert array_vsync(cid_array(held)) == vsync(held)


@given(st.frozensets(cids, min_size=1, max_size=20))
def test_a_cid_given_twice_is_seen(held: frozenset[bytes]) -> None:
    assert not has_duplicates(cid_array(held))
    assert has_duplicates(cid_array([*held, next(iter(held))]))
