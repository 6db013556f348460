"""Alerts that a person resolves or silences: what is written down, and what is sent."""

from datetime import UTC, datetime, timedelta

import pytest

from vsync_dagster.local_db import alert_targets, alerts
from vsync_dagster.local_db.alerts import AlertRefusedError
from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.local_db.errors import DatabaseError
from vsync_dagster_tests.local_db.parts import rows, value
from vsync_dagster_tests.local_db.test_alert_targets import CHAT, pending, told
from vsync_dagster_tests.local_db.test_alerts import ALERT

SOON = timedelta(hours=1)


def in_an_hour() -> datetime:
    return datetime.now(UTC) + SOON


def end_silence(conn: Connection) -> None:
    """Have every silence begin and end an hour earlier, which only the owner of the table can."""
    conn.execute("alter table alert_trail disable trigger refuse_alert_trail_changes")
    conn.execute("update alert_trail set done_at = done_at - interval '2 hours', silenced_until = now()")
    conn.execute("alter table alert_trail enable always trigger refuse_alert_trail_changes")


def test_a_person_resolves_an_alert_and_the_trail_says_who_and_why(conn: Connection) -> None:
    alerts.raise_alert(conn, ALERT)
    alerts.resolve_by_hand(conn, ALERT.fingerprint, "a typing mistake")

    assert alerts.standing(conn) == []
    login = value(conn, "select session_user")
    assert rows(conn, "select fingerprint, step, reason, silenced_until, done_by from alert_trail") == [
        (ALERT.fingerprint, "RESOLVED", "a typing mistake", None, login)
    ]


def test_what_still_is_the_case_is_raised_again_after_it_was_resolved(conn: Connection) -> None:
    alerts.raise_alert(conn, ALERT)
    alert_targets.mark_told(conn, CHAT, pending(conn, CHAT))
    alerts.resolve_by_hand(conn, ALERT.fingerprint, "I think it is over")
    alert_targets.mark_told(conn, CHAT, pending(conn, CHAT))

    assert alerts.raise_alert(conn, ALERT), "it is a new one"
    assert told(pending(conn, CHAT)) == [(ALERT.fingerprint, False)]


def test_a_silenced_alert_sends_nothing_until_its_end(conn: Connection) -> None:
    alerts.raise_alert(conn, ALERT)
    alerts.silence(conn, ALERT.fingerprint, "ticket 4711", in_an_hour())

    assert pending(conn, CHAT) == []
    assert [each.silenced_until is not None for each in alerts.standing(conn)] == [True], "it stands all the same"
    end_silence(conn)
    assert told(pending(conn, CHAT)) == [(ALERT.fingerprint, False)]


def test_a_silence_holds_also_when_the_alert_comes_back(conn: Connection) -> None:
    alerts.raise_alert(conn, ALERT)
    alerts.silence(conn, ALERT.fingerprint, "ticket 4711", in_an_hour())
    alerts.resolve(conn, ALERT.fingerprint)
    alerts.raise_alert(conn, ALERT)
    assert pending(conn, CHAT) == []


def test_what_came_and_went_while_it_was_silenced_is_never_sent(conn: Connection) -> None:
    alerts.raise_alert(conn, ALERT)
    alerts.silence(conn, ALERT.fingerprint, "ticket 4711", in_an_hour())
    alerts.resolve(conn, ALERT.fingerprint)
    assert pending(conn, CHAT) == []
    end_silence(conn)
    assert pending(conn, CHAT) == []


def test_the_latest_silence_counts(conn: Connection) -> None:
    alerts.raise_alert(conn, ALERT)
    alerts.silence(conn, ALERT.fingerprint, "a week", datetime.now(UTC) + timedelta(days=7))
    shorter = in_an_hour()
    alerts.silence(conn, ALERT.fingerprint, "an hour is enough", shorter)
    assert [each.silenced_until for each in alerts.standing(conn)] == [shorter]


@pytest.mark.parametrize(
    ("fingerprint", "reason", "ends_in", "said"),
    [
        ("VSyncNone/1", "x", SOON, "no such alert stands"),
        (ALERT.fingerprint, " ", SOON, "say why"),
        (ALERT.fingerprint, "x", -SOON, "a silence has an end"),
        (ALERT.fingerprint, "x", timedelta(days=31), "at most 30 days"),
    ],
)
def test_what_cannot_be_silenced_says_why_and_writes_nothing(
    conn: Connection, fingerprint: str, reason: str, ends_in: timedelta, said: str
) -> None:
    alerts.raise_alert(conn, ALERT)
    with pytest.raises(AlertRefusedError, match=said):
        alerts.silence(conn, fingerprint, reason, datetime.now(UTC) + ends_in)
    assert rows(conn, "select * from alert_trail") == []


def test_what_does_not_stand_or_has_no_reason_is_not_resolved(conn: Connection) -> None:
    with pytest.raises(AlertRefusedError, match="no such alert stands"):
        alerts.resolve_by_hand(conn, ALERT.fingerprint, "x")
    alerts.raise_alert(conn, ALERT)
    with pytest.raises(AlertRefusedError, match="say why"):
        alerts.resolve_by_hand(conn, ALERT.fingerprint, "")
    assert len(alerts.standing(conn)) == 1


@pytest.mark.parametrize("statement", ["delete from alert_trail", "update alert_trail set reason = 'x'"])
def test_the_trail_is_only_appended_to(database: Database, statement: str) -> None:
    with database.connect() as conn:
        alerts.raise_alert(conn, ALERT)
        alerts.resolve_by_hand(conn, ALERT.fingerprint, "x")
    with pytest.raises(DatabaseError, match="append_only"), database.connect() as conn:
        conn.execute(statement.encode())
