from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from vsync_dagster.reconcile.set_events import SetEvent, first_effects, last_removals, memberships, vsyncs_left
from vsync_dagster.reconcile.vsync import EMPTY_VSYNC, vsync

START = datetime(2026, 11, 24, 5, tzinfo=UTC)
A, B = bytes([1]) * 32, bytes([2]) * 32


def added(cid: bytes, seconds: float) -> SetEvent:
    return SetEvent(True, cid, START + timedelta(seconds=seconds))


def removed(cid: bytes, seconds: float) -> SetEvent:
    return SetEvent(False, cid, START + timedelta(seconds=seconds))


def test_the_last_event_decides() -> None:
    assert memberships([added(A, 0), removed(A, 1), added(A, 2), removed(B, 1)]) == {A: True, B: False}


def test_a_log_read_twice_says_the_same() -> None:
    """StartTime is inclusive, so events are read again; toggling would flip the membership back."""
    once = [removed(A, 0), added(A, 5), removed(B, 6)]

    assert memberships([*once, *once]) == memberships(once)


def test_an_update_that_keeps_the_cid_says_nothing_in_either_order() -> None:
    """REMOVED and ADDED of one CID at one time, whose order DICT does not promise."""
    assert memberships([removed(A, 0), added(A, 0)]) == {}
    assert memberships([added(A, 0), removed(A, 0)]) == {}


def test_a_tie_leaves_the_word_to_what_came_before() -> None:
    assert memberships([added(A, 0), removed(A, 1), added(A, 1)]) == {A: True}
    assert memberships([removed(A, 0), added(A, 1), removed(A, 1)]) == {A: False}


def test_back_and_forth_between_two_contents() -> None:
    """A key changed from A to B and back: the same CID is added more than once."""
    log = [removed(A, 1), added(B, 1), removed(B, 2), added(A, 2)]

    assert memberships(log) == {A: True, B: False}


def test_the_first_event_tells_what_was_held_before() -> None:
    assert first_effects([removed(A, 0), added(A, 1), added(B, 1), removed(B, 2)]) == {A: True, B: False}


def test_the_last_removal_is_kept() -> None:
    assert last_removals([removed(A, 0), added(A, 1), removed(A, 2), added(B, 3)]) == {A: START + timedelta(seconds=2)}


def test_a_set_left_a_vsync_by_the_next_event() -> None:
    log = [added(A, 0), added(B, 10), removed(A, 20)]

    def left(since: int, until: int) -> frozenset[bytes]:
        return vsyncs_left(EMPTY_VSYNC, log, START + timedelta(seconds=since), START + timedelta(seconds=until))

    assert left(9, 99) == {A, vsync([A, B])}
    assert left(10, 99) == {vsync([A, B])}
    assert left(9, 19) == {A}, "what the set still has is nothing that it left"
    assert left(20, 99) == frozenset()


def test_a_set_that_is_back_where_it_was_has_left_nothing() -> None:
    log = [added(A, 10), removed(A, 20)]

    assert vsyncs_left(EMPTY_VSYNC, log, START, START + timedelta(seconds=99)) == {A}


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([A, B])), max_size=30), st.frozensets(st.sampled_from([A, B])))
def test_a_log_with_distinct_times_replays_to_the_same_set(
    toggles: list[tuple[bool, bytes]], before: frozenset[bytes]
) -> None:
    held = set(before)
    log = []
    for second, (add, cid) in enumerate(toggles):
        if add != (cid in held):
            log.append(added(cid, second) if add else removed(cid, second))
            (held.add if add else held.discard)(cid)

    said = memberships(log)

    assert {cid for cid in (A, B) if said.get(cid, cid in before)} == held
    assert all(was == (cid in before) for cid, was in first_effects(log).items())
