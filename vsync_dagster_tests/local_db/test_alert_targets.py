from dataclasses import replace
from datetime import timedelta

from vsync_dagster.local_db import alert_targets, alerts
from vsync_dagster.local_db.alert_targets import Message
from vsync_dagster.local_db.alerts import Severity
from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster_tests.local_db.test_alerts import ALERT

DAY = timedelta(days=1)
CHAT, MAIL = "slack-1", "mailto-2"


def pending(
    conn: Connection, target: str, minimum: Severity = Severity.INFO, *, repeat: timedelta = DAY, limit: int = 100
) -> list[Message]:
    alert_targets.hold(conn, target)
    return alert_targets.pending(conn, target, minimum=minimum, repeat=repeat, limit=limit)


def raise_numbered(conn: Connection, *numbers: int) -> None:
    for number in numbers:
        alerts.raise_alert(conn, replace(ALERT, fingerprint=str(number)))


def told(messages: list[Message]) -> list[tuple[str, bool]]:
    return [(each.raised.alert.fingerprint, each.is_recovery) for each in messages]


def test_each_target_is_told_once_in_order(conn: Connection) -> None:
    raise_numbered(conn, 1, 2, 3)

    first = pending(conn, CHAT, limit=2)
    alert_targets.mark_told(conn, CHAT, first)
    rest = pending(conn, CHAT)
    alert_targets.mark_told(conn, CHAT, rest)

    assert told(first + rest) == [("1", False), ("2", False), ("3", False)]
    raise_numbered(conn, 1, 2, 3)
    assert pending(conn, CHAT) == [], "what stands is not told again"
    assert told(pending(conn, MAIL)) == told(first + rest), "another target has its own"


def test_what_stands_is_told_again_after_a_while(conn: Connection) -> None:
    raise_numbered(conn, 1)
    alert_targets.mark_told(conn, CHAT, pending(conn, CHAT))
    conn.execute("update alert_deliveries set told_at = told_at - interval '2 hours'")

    assert pending(conn, CHAT, repeat=timedelta(hours=3)) == []
    assert told(pending(conn, CHAT, repeat=timedelta(hours=1))) == [("1", False)]


def test_what_becomes_more_severe_is_told_at_once_and_what_becomes_less_is_not(conn: Connection) -> None:
    alerts.raise_alert(conn, ALERT)
    alert_targets.mark_told(conn, CHAT, pending(conn, CHAT))

    alerts.raise_alert(conn, replace(ALERT, severity=Severity.INFO))
    assert pending(conn, CHAT) == []

    alerts.raise_alert(conn, replace(ALERT, severity=Severity.CRITICAL))
    [message] = pending(conn, CHAT)
    assert message.raised.alert.severity == Severity.CRITICAL


def test_a_target_hears_only_what_is_severe_enough_and_its_recovery(conn: Connection) -> None:
    alerts.raise_alert(conn, ALERT)
    assert pending(conn, CHAT, Severity.CRITICAL) == []
    alerts.raise_alert(conn, replace(ALERT, severity=Severity.CRITICAL))
    alert_targets.mark_told(conn, CHAT, pending(conn, CHAT, Severity.CRITICAL))

    alerts.raise_alert(conn, ALERT)
    alerts.resolve(conn, ALERT.fingerprint)

    recovery = pending(conn, CHAT, Severity.CRITICAL)
    assert told(recovery) == [(ALERT.fingerprint, True)]
    alert_targets.mark_told(conn, CHAT, recovery)
    assert pending(conn, CHAT, Severity.CRITICAL) == []


def test_what_was_resolved_before_it_could_be_told_is_told_all_the_same(conn: Connection) -> None:
    raise_numbered(conn, 1)
    alerts.resolve(conn, "1")

    first = pending(conn, CHAT)
    alert_targets.mark_told(conn, CHAT, first)
    second = pending(conn, CHAT)
    alert_targets.mark_told(conn, CHAT, second)

    assert told(first + second) == [("1", False), ("1", True)]
    assert pending(conn, CHAT) == []


def test_a_target_that_was_away_for_days_is_told_and_one_that_is_new_is_not(conn: Connection) -> None:
    raise_numbered(conn, 1)
    assert told(pending(conn, CHAT)) == [("1", False)]
    alerts.resolve(conn, "1")
    conn.execute("update alerts set resolved_at = resolved_at - interval '10 days'")

    assert told(pending(conn, CHAT)) == [("1", False)]
    assert pending(conn, MAIL) == []


def test_a_target_is_left_alone_after_a_failure_and_longer_after_more(conn: Connection) -> None:
    raise_numbered(conn, 1)
    pauses = []
    for _ in range(8):
        alert_targets.mark_failed(conn, CHAT, pending(conn, CHAT), "ConnectError")
        [(pause,)] = conn.execute("select next_try_at - held_until from alert_targets").fetchall()
        pauses.append(round(pause.total_seconds()))
        assert not alert_targets.hold(conn, CHAT)

    [state] = alert_targets.states(conn, DAY)
    assert pauses == [30, 60, 120, 240, 480, 600, 600, 600]
    assert (state.failures, state.last_error, state.waiting, state.last_told_at) == (8, "ConnectError", 1, None)
    assert alert_targets.hold(conn, MAIL), "the other one is not"


def test_what_is_never_taken_steps_back_behind_the_others(conn: Connection) -> None:
    raise_numbered(conn, 1, 2)
    for _ in range(5):
        assert told(pending(conn, CHAT, limit=1)) == [("1", False)]
        alert_targets.mark_failed(conn, CHAT, pending(conn, CHAT, limit=1), "HTTP 400")

    assert told(pending(conn, CHAT)) == [("2", False), ("1", False)]


def test_taking_something_ends_the_failures(conn: Connection) -> None:
    raise_numbered(conn, 1)
    alert_targets.mark_failed(conn, CHAT, pending(conn, CHAT), "ConnectError")
    alert_targets.mark_told(conn, CHAT, pending(conn, CHAT))

    [state] = alert_targets.states(conn, DAY)
    assert (state.failures, state.last_error, state.waiting) == (0, None, 0)
    assert state.last_told_at is not None


def test_one_relay_at_a_time_holds_a_target_and_loses_it_when_it_dies(database: Database) -> None:
    with database.connect() as one:
        assert alert_targets.hold(one, CHAT)
    with database.connect() as other:
        assert not alert_targets.hold(other, CHAT)
        assert alert_targets.hold(other, MAIL)
        other.execute("update alert_targets set held_until = held_until - interval '2 minutes'")
        assert alert_targets.hold(other, CHAT)
        alert_targets.let_go(other, CHAT)
        assert alert_targets.hold(other, CHAT)
