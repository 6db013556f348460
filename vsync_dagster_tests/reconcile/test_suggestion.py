from datetime import UTC, datetime, timedelta

import pytest

from vsync_dagster.reconcile.suggestion import suggest

PUT_UP = datetime(2026, 11, 24, 5, tzinfo=UTC)
ANSWER = {"second_look": "GONE", "second_look_at": "2026-11-24T05:00:00+00:00", "second_look_correlation_id": "ab" * 16}
REMOVED = {"dict_removed_at": "2026-11-23T01:02:03+00:00"}


@pytest.mark.parametrize(
    ("evidence", "age", "decision"),
    [
        (ANSWER | REMOVED, timedelta(days=9), "CONFIRM_DELETION"),
        (ANSWER | REMOVED, timedelta(minutes=3), "CONFIRM_DELETION"),
        (ANSWER, timedelta(minutes=3), "KEEP"),
        (ANSWER, timedelta(days=9), "INVESTIGATE"),
        (ANSWER, timedelta(days=-1), "INVESTIGATE"),
        (ANSWER | {"second_look": "NOT_OURS"}, timedelta(days=9), "INVESTIGATE"),
        ({}, None, "INVESTIGATE"),
    ],
)
def test_what_is_suggested(evidence: dict[str, str], age: timedelta | None, decision: str) -> None:
    created_at = None if age is None else PUT_UP - age
    assert suggest(evidence, created_at, PUT_UP).decision == decision


def test_the_facts_are_told() -> None:
    told = suggest(ANSWER | REMOVED, PUT_UP - timedelta(minutes=3), PUT_UP).facts
    assert tuple(map(str, told)) == (
        "DICT's log says REMOVED at 2026-11-23 01:02:03 UTC",
        "created here 3 minutes before it was put up for review",
        f"DICT answered 404, no such entry, at 2026-11-24 05:00:00 UTC, CorrelationId {'ab' * 16}",
    )


@pytest.mark.parametrize(
    ("age", "told"),
    [
        (timedelta(minutes=119), "119 minutes"),
        (timedelta(minutes=120), "2 hours"),
        (timedelta(hours=119), "119 hours"),
        (timedelta(hours=120), "5 days"),
        (timedelta(days=1408), "1408 days"),
    ],
)
def test_an_age_is_told_as_people_count(age: timedelta, told: str) -> None:
    facts = suggest({}, PUT_UP - age, PUT_UP).facts
    assert str(facts[-1]) == f"created here {told} before it was put up for review"


def test_a_key_that_went_elsewhere_was_ours_until_a_time() -> None:
    elsewhere = ANSWER | {"second_look": "NOT_OURS"}
    told = [str(suggest(evidence, None, PUT_UP).facts[-1]) for evidence in (elsewhere | REMOVED, elsewhere)]
    assert told == [
        "this key was ours until 2026-11-23 01:02:03 UTC; DICT tells us nothing of it since",
        "DICT tells nothing of this CID to us: it may be another participant's",
    ]
