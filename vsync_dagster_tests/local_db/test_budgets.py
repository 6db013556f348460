"""The shared buckets, with the database's clock moved by hand."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from vsync_dagster.dict_api.budget import DOCUMENTED, Budget, Limit
from vsync_dagster.dict_api.messages import Policy
from vsync_dagster.local_db.budgets import SharedBudget
from vsync_dagster.local_db.database import Database, Session
from vsync_dagster.reconcile.errors import BudgetExhaustedError
from vsync_dagster_tests.local_db.parts import ISPB, OTHER_ISPB, rows, value

VERIFY = "SYNC_VERIFICATIONS_WRITE"
LOOK_UP = "CIDS_ENTRIES_READ"
# Refills so slowly that no test sees it. One token, and 50, are kept back.
SLOW = {VERIFY: Limit(6, 1, 86_400), LOOK_UP: Limit(5_000, 1, 86_400)}


class Clock:
    """Sleeping moves the buckets' past back instead of waiting."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        with self._database.connect() as conn:
            conn.execute("update dict_budgets set updated_at = updated_at - make_interval(secs => %s)", [seconds])


@pytest.fixture
def clock(database: Database) -> Clock:
    return Clock(database)


@pytest.fixture
def budget(database: Database, clock: Clock) -> SharedBudget:
    return SharedBudget(database, ISPB, SLOW, sleep=clock.sleep, max_wait=200_000)


def left(database: Database, policy: str = VERIFY, scope: str = ISPB) -> float:
    with database.connect() as conn:
        tokens = value(conn, "select tokens from dict_budgets where scope_ispb = %s and policy = %s", [scope, policy])
    return round(float(tokens), 2)


def test_it_is_a_budget_with_the_documented_limits(database: Database) -> None:
    budget: Budget = SharedBudget(database, ISPB, DOCUMENTED)
    for policy in DOCUMENTED:
        budget.take(policy)
    with database.connect() as conn:
        found = rows(conn, "select policy, capacity, refill_tokens, refill_period_sec from dict_budgets")
    assert {policy: Limit(*limit) for policy, *limit in found} == DOCUMENTED


def test_a_bucket_starts_full_and_gives_all_but_one_token(
    database: Database, budget: SharedBudget, clock: Clock
) -> None:
    for _ in range(5):
        budget.take(VERIFY)
    assert clock.slept == []
    assert left(database) == 1
    budget.take(VERIFY)
    assert clock.slept == [pytest.approx(86_400, abs=60)]


def test_several_tokens_at_once(database: Database, budget: SharedBudget, clock: Clock) -> None:
    budget.take(VERIFY, 4)
    budget.take(VERIFY, 2)
    assert clock.slept == [pytest.approx(86_400, abs=60)]
    with pytest.raises(ValueError, match="6 tokens, 7 were asked for"):
        budget.take(VERIFY, 7)


def test_a_refill_is_gradual_and_never_overflows(database: Database, budget: SharedBudget, clock: Clock) -> None:
    budget.take(VERIFY, 5)
    clock.sleep(86_400 * 1.5)
    budget.take(VERIFY)
    assert left(database) == 1.5
    clock.sleep(86_400 * 99)
    budget.take(VERIFY)
    assert left(database) == 5


def test_a_clock_that_goes_back_takes_nothing_away(database: Database, budget: SharedBudget, clock: Clock) -> None:
    budget.take(VERIFY)
    clock.sleep(-3_600)
    budget.take(VERIFY)
    assert left(database) == 4


def test_too_long_a_wait_is_an_error(database: Database, clock: Clock) -> None:
    budget = SharedBudget(database, ISPB, SLOW, sleep=clock.sleep, max_wait=60)
    budget.take(VERIFY, 5)
    with pytest.raises(BudgetExhaustedError, match=f"budget {VERIFY} is used up; try again in 86"):
        budget.take(VERIFY)
    assert clock.slept == []


def test_processes_share_one_bucket(database: Database, clock: Clock) -> None:
    first, second = (SharedBudget(database, ISPB, SLOW, sleep=clock.sleep, max_wait=0) for _ in range(2))
    first.take(VERIFY, 3)
    second.take(VERIFY, 2)
    with pytest.raises(BudgetExhaustedError):
        first.take(VERIFY)
    SharedBudget(database, OTHER_ISPB, SLOW, sleep=clock.sleep).take(VERIFY, 5)


def test_nothing_is_given_twice_under_contention(database: Database, clock: Clock) -> None:
    limits = {VERIFY: Limit(31, 1, 86_400)}
    budgets = [SharedBudget(database, ISPB, limits, sleep=clock.sleep, max_wait=0) for _ in range(4)]

    def take_all(order: int) -> int:
        taken = 0
        try:
            while True:
                budgets[order % 4].take(VERIFY)
                taken += 1
        except BudgetExhaustedError:
            return taken

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(take_all, range(8))) == 30


def test_a_refund_is_given_back(database: Database, budget: SharedBudget) -> None:
    budget.take(VERIFY, 2)
    budget.refund(VERIFY)
    assert left(database) == 5
    budget.refund(VERIFY, 9)
    assert left(database) == 6


def test_a_drained_bucket_is_empty(database: Database, budget: SharedBudget, clock: Clock) -> None:
    budget.drained(VERIFY)
    assert left(database) == 0
    budget.take(VERIFY)
    assert len(clock.slept) == 1


def test_look_ups_are_leased(database: Database, budget: SharedBudget, clock: Clock) -> None:
    budget.take(LOOK_UP, 4_830)
    for _ in range(50):
        budget.take(LOOK_UP)
    assert left(database, LOOK_UP) == 120
    budget.take(LOOK_UP)
    assert left(database, LOOK_UP) == 70
    for _ in range(49):
        budget.take(LOOK_UP)
    # What may be spent is leased, though it is less than a lease.
    budget.take(LOOK_UP)
    assert left(database, LOOK_UP) == 50
    budget.refund(LOOK_UP)
    for _ in range(20):
        budget.take(LOOK_UP)
    assert clock.slept == []
    budget.take(LOOK_UP)
    assert len(clock.slept) == 1


def test_a_small_bucket_is_not_leased(database: Database, clock: Clock) -> None:
    """Tokens that wait in a process while the bucket refills would let it spend more than DICT ever had."""
    SharedBudget(database, ISPB, {LOOK_UP: Limit(120, 1, 86_400)}, sleep=clock.sleep).take(LOOK_UP)
    assert left(database, LOOK_UP) == 119


def test_a_bucket_of_one_token_can_be_used(database: Database, clock: Clock) -> None:
    SharedBudget(database, ISPB, {VERIFY: Limit(1, 1, 86_400)}, sleep=clock.sleep).take(VERIFY)
    assert left(database) == 0


def learn(database: Database, budget: SharedBudget, *policies: Policy) -> None:
    """Learn as if the last answer was of another day."""
    with database.connect() as conn:
        conn.execute("update dict_budget_readings set read_at = read_at - interval '2 days'")
    with budget.learning() as is_due:
        assert is_due
        budget.learn(policies)


def test_only_one_process_asks_for_the_limits(database: Database, budget: SharedBudget) -> None:
    told = Policy(available_tokens=70, capacity=80, refill_tokens=20, refill_period_sec=60, name=VERIFY)

    def ask(_: int) -> bool:
        with budget.learning() as is_due:
            if is_due:
                budget.learn([told])
            return is_due

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(ask, range(4))) == [False, False, False, True]


TOLD = Policy(available_tokens=70, capacity=80, refill_tokens=1, refill_period_sec=86_400, name=VERIFY)


def test_no_transaction_is_open_and_no_lock_is_held_while_dict_is_asked(database: Database, clock: Clock) -> None:
    with Session(database) as session:
        budget = SharedBudget(database, ISPB, SLOW, session=session, sleep=clock.sleep)
        with budget.learning() as is_due, database.connect() as conn:
            assert is_due
            others = """
                select count(*) from pg_stat_activity
                where xact_start is not null and pid <> pg_backend_pid() and datname = current_database()
            """
            assert value(conn, others, []) == 0


def test_what_others_take_while_dict_answers_is_subtracted(database: Database, clock: Clock) -> None:
    first, other = (SharedBudget(database, ISPB, SLOW, sleep=clock.sleep) for _ in range(2))
    other.take(VERIFY, 2)
    with first.learning():
        other.take(VERIFY, 3)
        other.refund(VERIFY)
        first.learn([TOLD])
    assert left(database) == 67


def test_a_bucket_drained_while_dict_answers_loses_what_it_held(database: Database, clock: Clock) -> None:
    first, other = (SharedBudget(database, ISPB, SLOW, sleep=clock.sleep) for _ in range(2))
    with first.learning():
        other.drained(VERIFY)
        first.learn([TOLD])
    assert left(database) == 64


def test_a_process_that_stood_still_while_it_asked_stops_nobody_and_writes_nothing(
    database: Database, clock: Clock
) -> None:
    first, other = (SharedBudget(database, ISPB, SLOW, sleep=clock.sleep) for _ in range(2))
    with first.learning():
        with database.connect() as conn:
            conn.execute("update dict_budget_readings set claimed_until = clock_timestamp()")
        learn(database, other, replace(TOLD, available_tokens=33))
        first.learn([TOLD])
    assert left(database) == 33


def test_others_go_on_with_the_last_answer_while_one_process_asks(database: Database, clock: Clock) -> None:
    first, other = (SharedBudget(database, ISPB, SLOW, sleep=clock.sleep) for _ in range(2))
    learn(database, first, TOLD)
    with database.connect() as conn:
        conn.execute("update dict_budget_readings set read_at = read_at - interval '2 days'")
    with first.learning() as is_due, other.learning() as is_due_too:
        assert (is_due, is_due_too) == (True, False)


def test_who_knows_no_answer_yet_waits_for_the_first(database: Database, clock: Clock) -> None:
    first = SharedBudget(database, ISPB, SLOW, sleep=clock.sleep)
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        first.learn([TOLD])

    other = SharedBudget(database, ISPB, SLOW, sleep=sleep)
    with first.learning(), other.learning() as is_due:
        assert not is_due
    assert len(waits) == 1


def test_who_gets_no_answer_leaves_the_question_to_the_next(database: Database, clock: Clock) -> None:
    first, other = (SharedBudget(database, ISPB, SLOW, sleep=clock.sleep) for _ in range(2))
    with first.learning() as is_due:
        assert is_due
    with other.learning() as is_due:
        assert is_due
    assert clock.slept == []


def test_a_drained_lease_is_gone(database: Database, clock: Clock) -> None:
    budget = SharedBudget(database, ISPB, SLOW, sleep=clock.sleep, max_wait=10_000_000)
    budget.take(LOOK_UP)
    budget.drained(LOOK_UP)
    budget.take(LOOK_UP)
    assert len(clock.slept) == 1


def test_what_dict_tells_is_taken_over(database: Database, budget: SharedBudget) -> None:
    budget.take(VERIFY, 5)
    told = Policy(available_tokens=70, capacity=80, refill_tokens=20, refill_period_sec=60, name=VERIFY)
    learn(database, budget, told, replace(told, name="ANOTHER"), replace(told, name=LOOK_UP, refill_tokens=0))
    with database.connect() as conn:
        assert rows(conn, "select * from dict_budgets where policy <> %s", [VERIFY]) == []
        assert rows(
            conn,
            "select tokens, capacity, refill_tokens, refill_period_sec, policies_read_at is not null from dict_budgets",
        ) == [(70, 80, 20, 60, True)]
    budget.take(VERIFY, 69)
    assert left(database) < 2
    learn(database, budget, replace(told, available_tokens=-3))
    assert left(database) == 0
    learn(database, budget, replace(told, available_tokens=999))
    assert left(database) == 80


def test_what_dict_tells_ends_a_lease(database: Database, budget: SharedBudget) -> None:
    budget.take(LOOK_UP)
    told = Policy(available_tokens=4_119, capacity=5_000, refill_tokens=1, refill_period_sec=86_400, name=LOOK_UP)
    learn(database, budget, told)
    budget.take(LOOK_UP)
    assert left(database, LOOK_UP) == 4_069


def test_an_unknown_policy_is_a_mistake(budget: SharedBudget) -> None:
    with pytest.raises(KeyError):
        budget.take("ANOTHER")
