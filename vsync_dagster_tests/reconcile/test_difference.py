from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsync_dagster.reconcile.cid_set import cid_array
from vsync_dagster.reconcile.difference import (
    ComparisonError,
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
toggles = st.lists(st.sampled_from(CIDS), max_size=15)


def toggle(held: frozenset[bytes], cids: list[bytes]) -> tuple[frozenset[bytes], list[SetEvent]]:
    """Change a set CID by CID, and return it with the log of the changes."""
    now, log = set(held), []
    for second, cid in enumerate(cids):
        log.append(SetEvent(cid not in now, cid, START + timedelta(seconds=second)))
        now ^= {cid}
    return frozenset(now), log


@given(cid_sets, cid_sets)
def test_two_sets_differ_by_what_the_identity_says(ours: frozenset[bytes], theirs: frozenset[bytes]) -> None:
    found = compare(cid_array(ours), cid_array(theirs))

    assert (found.only_ours, found.only_theirs) == (ours - theirs, theirs - ours)
    check(vsync(ours), vsync(theirs), found)
    check_counts(len(ours), len(theirs), found)


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

    found = after_events(compare(cid_array(ours), cid_array(in_file)), ours, memberships(log))

    assert (found.only_ours, found.only_theirs) == (ours - theirs, theirs - ours)


@given(cid_sets, cid_sets, st.sampled_from(CIDS))
def test_a_difference_left_out_or_made_up_is_noticed(
    ours: frozenset[bytes], theirs: frozenset[bytes], cid: bytes
) -> None:
    found = compare(cid_array(ours), cid_array(theirs))
    wrong = SetDifference(found.only_ours ^ {cid}, found.only_theirs)
    if cid in found.only_theirs:
        return  # named on both sides it cancels nothing and is counted once: the sets say the same

    with pytest.raises(ComparisonError, match="nothing is repaired"):
        check(vsync(ours), vsync(theirs), wrong)


def test_a_pair_that_cancels_in_the_xor_does_not_cancel_in_the_count() -> None:
    nothing = SetDifference(frozenset(), frozenset())

    with pytest.raises(ComparisonError, match="nothing is repaired"):
        check_counts(3, 1, nothing)
