"""VSyncs, by the official vector and by the laws of XOR (DICT API 2.12.1, Reconciliation)."""

from hypothesis import given
from hypothesis import strategies as st

from vsync_dagster.reconcile.cid import parse_cid
from vsync_dagster.reconcile.vsync import EMPTY_VSYNC, vsync, xor

OFFICIAL_CIDS = [
    parse_cid("28c06eb41c4dc9c3ae114831efcac7446c8747777fca8b145ecd31ff8480ae88"),
    parse_cid("4d4abb9168114e349672b934d16ed201a919cb49e28b7f66a240e62c92ee007f"),
    parse_cid("fce514f84f37934bc8aa0f861e4f7392273d71b9d18e8209d21e4192a7842058"),
]
OFFICIAL_VSYNC = "996fc1dd3b6b14bcf0c9fe8320eb66d7e2a3fd874ccf767b2e939641b1ea8eaf"

cids = st.binary(min_size=32, max_size=32)


def test_the_official_vector() -> None:
    assert vsync(OFFICIAL_CIDS).hex() == OFFICIAL_VSYNC


def test_the_vsync_of_nothing_is_64_zeros() -> None:
    assert vsync([]).hex() == EMPTY_VSYNC.hex() == "0" * 64


def test_leading_zeros_are_kept() -> None:
    small = (5).to_bytes(32)

    assert vsync([small]) == small
    assert xor(small, EMPTY_VSYNC) == small


def test_a_cid_given_twice_counts_once() -> None:
    assert vsync([*OFFICIAL_CIDS, OFFICIAL_CIDS[0]]).hex() == OFFICIAL_VSYNC
    assert vsync([OFFICIAL_CIDS[0]] * 2) != EMPTY_VSYNC


@given(st.sets(cids, max_size=20), st.randoms())
def test_order_does_not_matter(held: set[bytes], chance: object) -> None:
    shuffled = list(held)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]

    assert vsync(shuffled) == vsync(held)


@given(st.sets(cids, max_size=20), cids)
def test_adding_and_removing_a_cid_is_an_xor(held: set[bytes], cid: bytes) -> None:
    assert xor(vsync(held - {cid}), cid) == vsync(held | {cid})
    assert xor(vsync(held | {cid}), cid) == vsync(held - {cid})


@given(st.sets(cids, max_size=20), st.sets(cids, max_size=20))
def test_two_vsyncs_differ_by_the_vsync_of_the_difference(ours: set[bytes], theirs: set[bytes]) -> None:
    assert xor(vsync(ours), vsync(theirs)) == vsync(ours ^ theirs)
