"""Waiting is visible: what for, why, how long, and which of how many; no line for a wait that nobody notices."""

import io
import logging

import pytest
from rich.console import Console

from vsync_dagster.cli.progress import Bars, ConsoleHandler, ProgressFormatter
from vsync_dagster.dict_api.budget import LocalBudget
from vsync_dagster.dict_api.errors import DictUnavailableError
from vsync_dagster.dict_api.retrying import RetryRule, TryAgainError
from vsync_dagster.local_db.budgets import SharedBudget
from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.local_db.errors import DatabaseUnavailableError
from vsync_dagster.progress import Count, counting, shown_on
from vsync_dagster_tests.local_db.parts import ISPB
from vsync_dagster_tests.local_db.test_budgets import SLOW, VERIFY, Clock
from vsync_dagster_tests.world import DAY

LOG = logging.getLogger("vsync_dagster.test")


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "vsync_dagster")
    return caplog


def lines(logged: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in logged.records]


def dict_call(*retry_after: float | None) -> None:
    """Make a call whose attempts fail, each with a Retry-After or none, and then succeed."""
    failures = [
        TryAgainError(DictUnavailableError("DICT does not answer getPolicy (HTTP 503)"), retry_after=seconds)
        for seconds in retry_after
    ]

    def attempt() -> str:
        if failures:
            raise failures.pop(0)
        return "answered"

    now = lambda: DAY  # noqa: E731
    RetryRule(lambda _: None, lambda: 0.0, now, attempts=10).run(attempt)  # type: ignore[arg-type]


def test_a_first_retry_that_comes_soon_is_not_worth_a_line(logged: pytest.LogCaptureFixture) -> None:
    dict_call(None)
    assert lines(logged) == []


def test_each_retry_of_a_call_from_the_second_on_is_logged(logged: pytest.LogCaptureFixture) -> None:
    dict_call(None, None, None)
    why = "DICT does not answer getPolicy (HTTP 503)"
    assert lines(logged) == [
        f"attempt 2 of 10 failed, the next one in 1 s: {why}",
        f"attempt 3 of 10 failed, the next one in 2 s: {why}",
    ]


def test_a_long_retry_after_is_logged_at_once(logged: pytest.LogCaptureFixture) -> None:
    dict_call(120.0)
    assert lines(logged) == ["attempt 1 of 10 failed, the next one in 120 s: DICT does not answer getPolicy (HTTP 503)"]


def test_a_wait_for_a_budget_is_logged(logged: pytest.LogCaptureFixture, database: Database) -> None:
    clock = Clock(database)
    budget = SharedBudget(database, ISPB, SLOW, sleep=clock.sleep, max_wait=200_000)
    budget.take(VERIFY, 5)
    budget.take(VERIFY)
    assert lines(logged) == [f"waiting 86400 s for DICT's budget {VERIFY} (at most 200000 s)"]


def test_a_wait_for_a_budget_in_memory_is_logged(logged: pytest.LogCaptureFixture) -> None:
    time = [0.0]
    budget = LocalBudget(lambda: time[0], lambda seconds: time.__setitem__(0, time[0] + seconds), SLOW, 200_000)
    budget.take(VERIFY, 6)
    budget.take(VERIFY)
    assert lines(logged) == [f"waiting 86400 s for DICT's budget {VERIFY} (at most 200000 s)"]


def test_a_database_that_gives_up_again_is_logged(logged: pytest.LogCaptureFixture, database: Database) -> None:
    failures = [DatabaseUnavailableError("the database gave up")] * 2

    def work(_: Connection) -> None:
        if failures:
            raise failures.pop()

    database.retrying(work, sleep=lambda _: None)
    [line] = lines(logged)
    assert line.startswith("attempt 2 of 5 failed, the next one in ")
    assert line.endswith(" s: the database gave up")


def test_a_count_is_logged_every_ten_seconds_at_most(logged: pytest.LogCaptureFixture) -> None:
    time = [0.0]
    count = Count(LOG, "look-ups", 40, lambda: time[0])
    for _ in range(40):
        time[0] += 1
        count.advance()
    assert lines(logged) == [f"look-ups: {done} of 40" for done in (10, 20, 30, 40)]


def test_a_terminal_shows_a_bar_with_n_of_m_and_no_lines_of_counts() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    handler = ConsoleHandler(console)
    handler.setFormatter(ProgressFormatter())
    handler.handle(logging.LogRecord("n", logging.WARNING, "", 0, "something [else] happened", None, None))
    counted = logging.LogRecord("n", logging.INFO, "", 0, "look-ups: 7 of 9", None, None)
    counted.counted = True
    handler.handle(counted)
    with shown_on(Bars(console)), counting(LOG, "look-ups", 9) as count:
        count.advance(7)
    assert "warning: something [else] happened" in screen.getvalue()
    assert "look-ups: 7 of 9" not in screen.getvalue()
    assert "7/9" in screen.getvalue()


def test_a_bar_is_gone_when_the_work_fails() -> None:
    bars = Bars(Console(file=io.StringIO(), force_terminal=True))

    def work() -> None:
        with counting(LOG, "look-ups", 9) as count:
            count.advance()
            raise ZeroDivisionError

    with shown_on(bars), pytest.raises(ZeroDivisionError):
        work()
    assert bars.shown == ()
