"""What DICT's budgets permit."""

import pytest

from vsync_dagster.reconcile.plan import MOST_PAGES, Bucket, pages_worth_reading, plan, seconds_to_resume

LOOK_UPS = Bucket(capacity=36_000, tokens=36_000, tokens_per_second=20)
HOUR = 3_600.0


def holding(tokens: float, capacity: int = 36_000, tokens_per_second: float = 20) -> Bucket:
    return Bucket(capacity, tokens, tokens_per_second)


def test_a_million_look_ups_take_more_than_thirteen_hours() -> None:
    planned = plan({"L": LOOK_UPS}, {"L": 1_000_000}, HOUR)

    assert planned.granted == {"L": 36_000 + 72_000}
    assert planned.missing() == {"L": 892_000}
    assert planned.seconds == HOUR
    assert planned.seconds_for_all == pytest.approx(13.4 * HOUR, rel=0.01)
    assert planned.line() == (
        "still to ask of DICT: 1000000 L; its budgets grant that within 48200 s; 892000 L are left for another sync"
    )


def test_what_is_there_already_takes_no_time() -> None:
    planned = plan({"L": LOOK_UPS, "V": holding(5)}, {"L": 36_000, "V": 0}, 0)
    assert (planned.missing(), planned.seconds, planned.seconds_for_all) == ({}, 0, 0)
    assert planned.line() == "still to ask of DICT: 36000 L; its budgets grant that within 0 s"


def test_buckets_refill_side_by_side() -> None:
    buckets = {"A": holding(0, tokens_per_second=1), "B": holding(0, tokens_per_second=2)}
    assert plan(buckets, {"A": 30, "B": 40}, HOUR).seconds == 30


def test_an_empty_bucket_grants_nothing_at_once() -> None:
    assert plan({"L": holding(0.5)}, {"L": 2}, 0).granted == {"L": 0}


def test_a_token_is_not_lost_to_rounding() -> None:
    assert holding(0.1 + 0.2 + 0.7, tokens_per_second=1).tokens_within(2) == 3


@pytest.mark.parametrize(
    ("left", "seconds"),
    [
        (0, 0),
        (1, 1 / 20),
        (72_000, 1 / 20),  # an hour's refill does the rest
        (73_000, 1_000 / 20),
        (892_000, 36_000 / 20),  # no single sync can do that: as much as possible, then
    ],
)
def test_when_to_go_on(left: int, seconds: float) -> None:
    assert seconds_to_resume({"L": holding(0)}, {"L": left}, HOUR) == pytest.approx(seconds)


def test_going_on_waits_for_the_slowest_bucket() -> None:
    buckets = {"L": holding(0), "F": holding(0, capacity=200, tokens_per_second=40 / 86_400)}
    assert seconds_to_resume(buckets, {"L": 1, "F": 1}, HOUR) == pytest.approx(36 * 60)


def test_the_log_is_read_as_far_as_pages_are_to_be_had_before_a_file_is() -> None:
    full = Bucket(99, 99, 20 / 60)
    a_file, no_file = Bucket(200, 1, 40 / 86_400), Bucket(200, 0, 40 / 86_400)
    assert pages_worth_reading(full, a_file, HOUR) == 98
    assert pages_worth_reading(Bucket(99, 0, 20 / 60), a_file, HOUR) == 1
    assert pages_worth_reading(full, no_file, HOUR) == 99 + 36 * 20 - 1
    assert pages_worth_reading(full, no_file, 60) == 99 + 20 - 1
    assert pages_worth_reading(holding(10**9), a_file, HOUR) == MOST_PAGES
