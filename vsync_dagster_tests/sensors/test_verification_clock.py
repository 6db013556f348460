"""The clocks ring by what DICT has answered and when the table was read whole, and when nothing has run at all."""

import dagster as dg
import pytest

from vsync_dagster.definitions import defs
from vsync_dagster.local_db import alerts, participants, review
from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.review import ReviewItem
from vsync_dagster.reconcile.keys import KeyType
from vsync_dagster.reconcile.waiting import Overdue, overdue
from vsync_dagster.resources import LocalDatabase
from vsync_dagster.sensors.verification_clock import verification_clock
from vsync_dagster_tests.local_db.parts import insert, make_entry
from vsync_dagster_tests.world import ISPB

_ANSWERED = """
insert into sync_state (participant_ispb, key_type, answered_at, true_ok_at, verified_at)
select %s, unnest(%s::text[]), now() - make_interval(hours => %s), now() - make_interval(hours => %s),
    now() - make_interval(hours => %s)
on conflict (participant_ispb, key_type) do update
set answered_at = excluded.answered_at, true_ok_at = excluded.true_ok_at, verified_at = excluded.verified_at
"""
ALL = [str(key_type) for key_type in KeyType]


@pytest.fixture
def registered(database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.setenv("VSYNC_DATABASE_URL", database.url)
    with database.connect() as connection:
        participants.add(connection, ISPB)
    return database


def verified(
    database: Database, key_types: list[str], answered: int, ok: int, without_review: int | None = None
) -> None:
    """Have DICT last answered, and said OK, so many hours ago; to the set without keys under review since then."""
    with database.connect() as connection:
        times = [answered, ok, ok if without_review is None else without_review]
        connection.execute(_ANSWERED, [ISPB, key_types, *times])


def ringing(database: Database) -> dict[str, str]:
    """Evaluate the sensor as the daemon does, and return what stands after it."""
    verification_clock.evaluate_tick(
        dg.build_sensor_context(resources={"local_database": LocalDatabase()}, definitions=defs)
    )
    with database.connect() as connection:
        return {each.alert.fingerprint: each.alert.severity.value for each in alerts.standing(connection)}


@pytest.mark.parametrize(
    ("answered", "ok", "rings"),
    [
        (23, 35, {}),
        (25, 25, {"VSyncNotAnswered": "warning"}),
        (34, 34, {"VSyncNotAnswered": "critical"}),
        (1, 37, {"VSyncNotOk": "critical"}),
        (37, 37, {"VSyncNotAnswered": "critical", "VSyncNotOk": "critical"}),
    ],
)
def test_each_clock_rings_at_its_hours(registered: Database, answered: int, ok: int, rings: dict[str, str]) -> None:
    verified(registered, ALL, answered, ok)
    assert ringing(registered) == {f"{name}/{ISPB}": severity for name, severity in rings.items()}


def test_the_environment_says_at_which_hours(registered: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VSYNC_NOT_ANSWERED_WARNING_HOURS", "10")
    monkeypatch.setenv("VSYNC_NOT_ANSWERED_CRITICAL_HOURS", "20")
    monkeypatch.setenv("VSYNC_NOT_OK_HOURS", "30")
    verified(registered, ALL, 11, 29)
    assert ringing(registered) == {f"VSyncNotAnswered/{ISPB}": "warning"}
    verified(registered, ALL, 21, 31)
    assert ringing(registered) == {f"VSyncNotAnswered/{ISPB}": "critical", f"VSyncNotOk/{ISPB}": "critical"}


def test_an_ok_without_the_keys_under_review_is_shown_beside_and_is_no_true_ok(registered: Database) -> None:
    verified(registered, ALL, 1, 1)
    verified(registered, ["CPF"], 2, 40, 2)
    assert ringing(registered) == {f"VSyncNotOk/{ISPB}": "warning"}
    with registered.connect() as connection:
        [standing] = alerts.standing(connection)
    assert standing.alert.title == f"{ISPB}: DICT last said OK 40 hours ago"
    assert standing.alert.text.startswith("Late: CPF. Without the keys under review, DICT last said OK 2 hours ago.")
    verified(registered, ["CPF"], 2, 40, 37)
    assert ringing(registered) == {f"VSyncNotOk/{ISPB}": "critical"}


def test_one_key_type_that_is_late_is_enough_and_named(registered: Database) -> None:
    verified(registered, ALL, 1, 1)
    verified(registered, ["EVP"], 34, 1)
    assert ringing(registered) == {f"VSyncNotAnswered/{ISPB}": "critical"}
    with registered.connect() as connection:
        [standing] = alerts.standing(connection)
    assert standing.alert.title == f"{ISPB}: DICT last answered a verification 34 hours ago"
    assert standing.alert.text.startswith("Late: EVP.")


def test_they_ring_for_a_participant_that_was_never_synced_and_not_for_a_disabled_one(registered: Database) -> None:
    registered.retrying(
        lambda connection: connection.execute("update participants set created_at = now() - interval '40 hours'")
    )
    assert ringing(registered) == {f"VSyncNotAnswered/{ISPB}": "critical", f"VSyncNotOk/{ISPB}": "critical"}
    with registered.connect() as connection:
        participants.set_enabled(connection, ISPB, enabled=False)
    assert ringing(registered) == {}


def test_they_fall_silent_when_dict_has_answered(registered: Database) -> None:
    verified(registered, ALL, 37, 37)
    ringing(registered)
    verified(registered, ALL, 0, 37)
    assert ringing(registered) == {f"VSyncNotOk/{ISPB}": "critical"}
    verified(registered, ALL, 0, 0)
    assert ringing(registered) == {}


def read_whole(database: Database, key_types: list[str], ago: str) -> None:
    with database.connect() as connection:
        connection.execute(
            "update sync_state set read_whole_at = now() - %s::interval where key_type = any(%s)", [ago, key_types]
        )


def test_they_ring_for_a_table_that_was_not_read_whole_for_two_weeks(registered: Database) -> None:
    """For one key type is enough. A participant that is new has two weeks, however often it is verified."""
    verified(registered, ALL, 1, 1)
    assert ringing(registered) == {}
    read_whole(registered, ALL, "13 days 23 hours")
    assert ringing(registered) == {}
    read_whole(registered, ["EVP"], "15 days")
    assert ringing(registered) == {f"VSyncNotReadWhole/{ISPB}": "warning"}
    with registered.connect() as connection:
        [standing] = alerts.standing(connection)
    assert standing.alert.title == f"{ISPB}: the table was last read whole and proved 15 days ago"
    assert standing.alert.text.startswith("Late: EVP.")
    read_whole(registered, ["EVP"], "1 hour")
    assert ringing(registered) == {}


def test_another_alert_is_left_alone(registered: Database) -> None:
    other = alerts.Alert(f"VSyncFailed/{ISPB}", "VSyncFailed", alerts.Severity.CRITICAL, "failed", "")
    registered.retrying(lambda connection: alerts.raise_alert(connection, other))
    assert ringing(registered) == {other.fingerprint: "critical"}


def test_late_is_later_than_the_limit() -> None:
    limits = {"warn_after": 24.0, "critical_after": 33.0}
    assert overdue({"CPF": 24.0}, **limits) is None
    assert overdue({"CPF": 24.1, "EVP": 33.0, "PHONE": 1.0}, **limits) == Overdue(("CPF", "EVP"), 33.0, critical=False)
    assert overdue({"CPF": 33.1}, **limits) == Overdue(("CPF",), 33.1, critical=True)


def test_they_ring_for_a_key_that_waits_a_day_for_a_person(registered: Database) -> None:
    """Not for one that somebody has kept; from the day on that it is asked again, it has another day."""
    verified(registered, ALL, 1, 1)
    with registered.connect() as connection:
        entry = make_entry(1, participant=ISPB)
        item = ReviewItem(insert(connection, entry), "CPF", entry.cid(), "MISSING_BACEN", {})
        review.queue(connection, "run", ISPB, [item])
    waits = {f"VSyncReviewWaits/{ISPB}": "warning"}
    for age, state, rings in (
        ("23 hours", "status = 'PENDING'", {}),
        ("25 hours", "status = 'PENDING'", waits),
        ("25 hours", "status = 'KEPT', ask_again_on = sync_today() + 1", {}),
        ("90 days", "status = 'KEPT', ask_again_on = sync_today()", {}),
        ("90 days", "status = 'KEPT', ask_again_on = sync_today() - 1", waits),
        ("90 days", "status = 'CLOSED', action_taken = 'deleted here'", {}),
    ):
        with registered.connect() as connection:
            change = f"update manual_review_queue set created_at = now() - interval '{age}', {state}"  # noqa: S608
            connection.execute(change.encode())
        assert ringing(registered) == rings, (age, state)
