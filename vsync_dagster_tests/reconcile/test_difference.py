from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vsync_dagster.reconcile.cid_set import ArrayStream, CidArray, cid_array
from vsync_dagster.reconcile.difference import (
    ComparisonError,
    DuplicateCidError,
    SetDifference,
    after_events,
    check,
    check_counts,
    compare,
    since_verified,
)
from vsync_dagster.reconcile.set_events import SetEvent, memberships
from vsync_dagster.reconcile.vsync import vsync

START = datetime(2026, 11, 24, 5, tzinfo=UTC)
CIDS = [bytes([number]) * 31 + b"\x01" for number in range(12)]
cid_sets = st.frozensets(st.sampled_from(CIDS))
# Few parts, so that CIDs have as much in common as different ones can.
parts = st.sampled_from([bytes([number]) * 8 for number in (0, 1, 255)])
alike = st.tuples(parts, parts, parts, parts).map(b"".join)
toggles = st.lists(st.sampled_from(CIDS), max_size=15)


def toggle(held: frozenset[bytes], cids: list[bytes]) -> tuple[frozenset[bytes], list[SetEvent]]:
    """Change a set CID by CID, and return it with the log of the changes."""
    now, log = set(held), []
    for second, cid in enumerate(cids):
        log.append(SetEvent(cid not in now, cid, START + timedelta(seconds=second)))
        now ^= {cid}
    return frozenset(now), log


def streamed(cids: Collection[bytes], block: int = 5) -> ArrayStream:
    """A set as a stream of blocks, an empty one at its end."""

    def blocks() -> Iterator[CidArray]:
        for start in range(0, len(cids) + block, block):
            yield cid_array(list(cids)[start : start + block])

    return ArrayStream(blocks)


some_cids = st.frozensets(alike | st.binary(min_size=32, max_size=32), max_size=30)


@given(some_cids, some_cids, st.integers(1, 40))
@example(frozenset(), frozenset(), 1)
@example(frozenset(CIDS), frozenset(), 3)
@example(frozenset(), frozenset(CIDS), 3)
@example(frozenset(CIDS), frozenset(CIDS), 3)
def test_two_sets_differ_by_what_the_identity_says(
    ours: frozenset[bytes], theirs: frozenset[bytes], block: int
) -> None:
    compared = compare(streamed(ours, block), streamed(sorted(theirs), block), len(ours))

    found = compared.found
    assert (found.only_ours, found.only_theirs) == (ours - theirs, theirs - ours)
    assert (compared.ours.count, compared.ours.vsync) == (len(ours), vsync(ours))
    assert (compared.theirs.count, compared.theirs.vsync) == (len(theirs), vsync(theirs))


@given(some_cids, st.lists(alike, min_size=1, max_size=4), some_cids)
def test_a_side_with_a_cid_twice_is_never_taken_for_a_set(
    theirs: frozenset[bytes], again: list[bytes], ours: frozenset[bytes]
) -> None:
    with pytest.raises(DuplicateCidError, match=r"^DICT's CID file has a CID twice; nothing of it is used$"):
        compare(streamed(ours), streamed([*(theirs | frozenset(again)), *again]), len(ours))
    with pytest.raises(DuplicateCidError, match=r"^our snapshot has a CID twice"):
        compare(streamed([*(theirs | frozenset(again)), *again]), streamed(ours), len(ours))


def test_a_set_that_changes_while_it_is_compared_is_noticed() -> None:
    passes = iter([CIDS[:3], CIDS[3:6]])

    with pytest.raises(ComparisonError, match="do not add up to the two"):
        compare(ArrayStream(lambda: iter([cid_array(next(passes))])), streamed([]), 3)


def test_a_block_that_is_a_view_is_read_right() -> None:
    wide = np.frombuffer(b"".join(cid + b"\n" for cid in CIDS), np.uint8).reshape(-1, 33)[:, :32]

    compared = compare(ArrayStream(lambda: iter([wide])), streamed(CIDS), len(CIDS))

    assert compared.found == SetDifference(frozenset(), frozenset())


@given(cid_sets, st.data(), toggles, toggles)
def test_both_logs_since_a_verification_tell_the_difference_without_a_file(
    verified: frozenset[bytes], data: st.DataObject, own_changes: list[bytes], dict_changes: list[bytes]
) -> None:
    """What was equal at a verification, but for CIDs under review, is told apart by the changes of both sides."""
    under_review = data.draw(st.frozensets(st.sampled_from(sorted(verified)))) if verified else frozenset()
    ours, own_log = toggle(verified, own_changes)
    theirs, dict_log = toggle(verified - under_review, dict_changes)

    found = after_events(since_verified(ours, own_log, under_review), ours, memberships(dict_log))

    assert (found.only_ours, found.only_theirs) == (ours - theirs, theirs - ours)


@given(cid_sets, cid_sets, toggles, st.integers(0, 15))
def test_a_file_and_the_log_around_it_tell_the_set_after_the_log(
    ours: frozenset[bytes], before: frozenset[bytes], changes: list[bytes], made_after: int
) -> None:
    """The log is read from before the file was made: events that the file already shows do no harm."""
    in_file, _ = toggle(before, changes[:made_after])
    theirs, log = toggle(before, changes)

    found = after_events(compare(streamed(ours), streamed(in_file), len(ours)).found, ours, memberships(log))

    assert (found.only_ours, found.only_theirs) == (ours - theirs, theirs - ours)


@given(cid_sets, cid_sets, st.sampled_from(CIDS))
def test_a_difference_left_out_or_made_up_is_noticed(
    ours: frozenset[bytes], theirs: frozenset[bytes], cid: bytes
) -> None:
    found = compare(streamed(ours), streamed(theirs), len(ours)).found
    wrong = SetDifference(found.only_ours ^ {cid}, found.only_theirs)
    if cid in found.only_theirs:
        return  # named on both sides it cancels nothing and is counted once: the sets say the same

    with pytest.raises(ComparisonError, match="do not add up to the two"):
        check(vsync(ours), vsync(theirs), wrong)


def test_a_pair_that_cancels_in_the_xor_does_not_cancel_in_the_count() -> None:
    nothing = SetDifference(frozenset(), frozenset())

    with pytest.raises(ComparisonError, match="do not add up to the two"):
        check_counts(3, 1, nothing)
