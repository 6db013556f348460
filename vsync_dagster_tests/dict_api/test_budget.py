"""Token buckets that never grant more than DICT would."""

import sys
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsync_dagster.dict_api.budget import (
    CIDS_ENTRIES_READ,
    CIDS_EVENTS_LIST,
    CIDS_FILES_WRITE,
    DOCUMENTED,
    Budget,
    Limit,
    LocalBudget,
)
from vsync_dagster.dict_api.messages import Policy
from vsync_dagster.reconcile.errors import BudgetExhaustedError, TransientError
from vsync_dagster_tests.dict_api.parts import FakeTime

POLICY = CIDS_EVENTS_LIST
FIVE_A_MINUTE = {POLICY: Limit(5, 5, 60)}


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


def local(time: FakeTime, max_wait: float = 3_600.0, limits: dict[str, Limit] = FIVE_A_MINUTE) -> LocalBudget:
    return LocalBudget(time.clock, time.sleep, limits, max_wait)


def spend_all(budget: Budget, time: FakeTime) -> int:
    """Take until the first wait; returns how many tokens came without one."""
    taken = 0
    while not time.sleeps:
        budget.take(POLICY)
        taken += 1
    return taken - 1


def test_the_documented_limits_are_the_lower_of_the_two_documents() -> None:
    assert DOCUMENTED[CIDS_EVENTS_LIST] == Limit(100, 20, 60)
    assert DOCUMENTED[CIDS_ENTRIES_READ] == Limit(36_000, 1_200, 60)
    assert DOCUMENTED[CIDS_FILES_WRITE] == Limit(200, 40, 86_400)


def test_a_full_bucket_is_spent_without_waiting_and_then_at_the_rate_of_the_refill(time: FakeTime) -> None:
    budget = local(time)

    assert spend_all(budget, time) == 5
    budget.take(POLICY)
    assert time.sleeps == pytest.approx([12.0, 12.0])


def test_a_bucket_never_holds_more_than_its_capacity(time: FakeTime) -> None:
    budget = local(time)
    time.seconds += 86_400

    assert spend_all(budget, time) == 5


def test_several_tokens_are_taken_at_once(time: FakeTime) -> None:
    budget = local(time)

    budget.take(POLICY, 4)
    budget.take(POLICY, 3)

    assert time.sleeps == pytest.approx([24.0])


def test_more_tokens_than_a_bucket_holds_are_refused(time: FakeTime) -> None:
    with pytest.raises(ValueError, match="holds 5 tokens, 6 were asked for"):
        local(time).take(POLICY, 6)


def test_a_refund_is_there_to_be_taken_but_never_overfills(time: FakeTime) -> None:
    budget = local(time)
    budget.refund(POLICY, 3)
    assert spend_all(budget, time) == 5

    time.sleeps.clear()
    budget.refund(POLICY, 2)
    assert spend_all(budget, time) == 2


def test_a_drained_bucket_is_empty(time: FakeTime) -> None:
    budget = local(time)
    budget.drained(POLICY)

    budget.take(POLICY)

    assert time.sleeps == pytest.approx([12.0])


def test_a_wait_that_is_too_long_is_refused_and_costs_nothing(time: FakeTime) -> None:
    budget = local(time, max_wait=10)
    budget.take(POLICY, 5)

    with pytest.raises(BudgetExhaustedError, match="CIDS_EVENTS_LIST is used up; try again in 12 s") as error:
        budget.take(POLICY)

    assert isinstance(error.value, TransientError)
    time.seconds += 12
    budget.take(POLICY)
    assert time.sleeps == []


def test_what_dict_tells_replaces_what_was_documented(time: FakeTime) -> None:
    budget = local(time)

    budget.learn([Policy(2, 200, 40, 60, POLICY), Policy(9, 9, 9, 9, "SOMETHING_NEW")])

    assert spend_all(budget, time) == 2
    assert time.sleeps == pytest.approx([1.5])
    time.seconds += 86_400
    time.sleeps.clear()
    assert spend_all(budget, time) == 200


@pytest.mark.parametrize("told", [Policy(0, 0, 0, 0, POLICY), Policy(5, 5, 0, 60, POLICY), Policy(5, 5, 5, 0, POLICY)])
def test_a_bucket_that_could_never_refill_is_not_believed(time: FakeTime, told: Policy) -> None:
    budget = local(time)

    budget.learn([told])

    assert spend_all(budget, time) == 5


@pytest.mark.parametrize(("told", "usable"), [(99, 5), (-3, 0)])
def test_a_told_state_outside_the_bucket_is_brought_inside(time: FakeTime, told: int, usable: int) -> None:
    budget = local(time)

    budget.learn([Policy(told, 5, 5, 60, POLICY)])

    assert spend_all(budget, time) == usable
    assert time.sleeps == pytest.approx([12.0])


def test_policies_do_not_share(time: FakeTime) -> None:
    budget = local(time, limits={"A": Limit(1, 1, 60), "B": Limit(1, 1, 60)})

    budget.take("A")
    budget.take("B")

    assert time.sleeps == []


@given(st.lists(st.tuples(st.integers(1, 5), st.floats(0, 100)), max_size=60))
def test_no_stretch_of_time_grants_more_than_capacity_and_refill(steps: list[tuple[int, float]]) -> None:
    time = FakeTime()
    budget = local(time)
    grants: list[tuple[float, int]] = []
    for tokens, pause in steps:
        budget.take(POLICY, tokens)
        grants.append((time.seconds, tokens))
        time.seconds += pause

    for first in range(len(grants)):
        for last in range(first, len(grants)):
            granted = sum(tokens for _, tokens in grants[first : last + 1])
            assert granted <= 5 + (grants[last][0] - grants[first][0]) * 5 / 60 + 1e-3


@pytest.fixture
def eager_threads() -> Iterator[None]:
    """Have the interpreter switch threads as often as it can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("eager_threads")
def test_threads_share_a_bucket_without_overdrawing_it() -> None:
    budget = local(FakeTime(), max_wait=-1, limits={POLICY: Limit(3_000, 1, 86_400)})
    granted: list[int] = []

    def spend() -> None:
        while True:
            try:
                budget.take(POLICY)
            except BudgetExhaustedError:
                return
            granted.append(1)

    threads = [threading.Thread(target=spend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(granted) == 3_000
