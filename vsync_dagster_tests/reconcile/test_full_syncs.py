"""Who is synced in full on which night."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from vsync_dagster.reconcile.full_syncs import LastFull, due
from vsync_dagster.reconcile.plan import Bucket

MONDAY = datetime(2026, 11, 23, 7, tzinfo=UTC)
DAY = timedelta(days=1)
# DICT's documented bucket of CID files.
CAPACITY, A_DAY = 200, 40
DOCUMENTED = Bucket(CAPACITY, CAPACITY, A_DAY / 86_400)


def nights(number: int, participants: int, every: int = 1) -> tuple[dict[str, list[datetime]], float]:
    """Live through nights, each FULL sync taking five files; return when each was synced, and the least tokens."""
    last = {f"{each:08}": LastFull(f"{each:08}", "direct", None, None) for each in range(participants)}
    synced: dict[str, list[datetime]] = {ispb: [] for ispb in last}
    tokens = least = float(CAPACITY)
    for night in range(0, number, every):
        now = MONDAY + night * DAY
        for ispb in due(last.values(), {"direct": replace(DOCUMENTED, tokens=tokens)}, DOCUMENTED, now):
            # It waits in the queue for hours.
            last[ispb] = LastFull(ispb, "direct", now + DAY / 3, now + DAY / 3)
            synced[ispb].append(now)
            tokens -= 5
        least = min(least, tokens)
        tokens = min(tokens + every * A_DAY, CAPACITY)
    return synced, least


@pytest.mark.parametrize(("participants", "every"), [(1, 1), (9, 1), (30, 1), (56, 1), (1, 7), (20, 7)])
def test_each_has_its_turn_once_a_week_and_half_of_the_bucket_is_left(participants: int, every: int) -> None:
    synced, least = nights(70, participants, every)
    for turns in synced.values():
        # In the first week the many have no turn yet that is theirs.
        assert turns[0] < MONDAY + 7 * DAY
        assert {later - earlier for earlier, later in pairwise(turns)} == {7 * DAY}
    assert least >= CAPACITY / 2


def test_where_there_are_more_than_dict_grants_nobody_is_left_out() -> None:
    synced, least = nights(70, 100)
    assert {len(turns) for turns in synced.values()} <= {5, 6}
    assert least >= CAPACITY / 2


def test_each_direct_participant_has_a_bucket_of_its_own() -> None:
    empty = replace(DOCUMENTED, tokens=0.0)
    all_of = [LastFull("1", "poor", None, None), LastFull("2", "rich", None, None)]
    assert due(all_of, {"poor": empty}, DOCUMENTED, MONDAY) == ["2"]


def test_one_that_fails_every_night_does_not_push_the_others_back() -> None:
    fails = LastFull("1", "direct", MONDAY - DAY, None)
    waits = LastFull("2", "direct", MONDAY - 7 * DAY, MONDAY - 7 * DAY)
    one_sync = {"direct": replace(DOCUMENTED, tokens=105.0)}
    assert due([fails, waits], one_sync, DOCUMENTED, MONDAY) == ["2"]


@pytest.mark.parametrize("capacity", [1, 4, 5, 8])
def test_a_small_bucket_grants_a_sync_when_it_is_full(capacity: int) -> None:
    full = Bucket(capacity, capacity, 1.0)
    waiting = [LastFull("1", "direct", None, None), LastFull("2", "direct", None, None)]
    assert due(waiting, {"direct": full}, DOCUMENTED, MONDAY) == ["1"]
    assert due(waiting, {"direct": replace(full, tokens=capacity - 1)}, DOCUMENTED, MONDAY) == []
