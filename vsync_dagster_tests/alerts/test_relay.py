"""From the queue to real webhooks, of which some are not there."""

import logging
from datetime import timedelta

import pytest

from vsync_dagster.alerts.relay import RelayResult, relay
from vsync_dagster.embedded.process import LOOPBACK, free_port
from vsync_dagster.local_db import alert_targets, alerts
from vsync_dagster.local_db.alerts import Severity
from vsync_dagster.local_db.database import Database
from vsync_dagster_tests.alerts.parts import (
    SECRET,
    address_of,
    advance,
    alert,
    notifications,
    raise_all,
    targets,
    titles,
    webhook,
)
from vsync_dagster_tests.dict_api.server import Reply, ScriptedServer

HOUR = timedelta(hours=1)


def resolve(database: Database, fingerprint: str) -> None:
    with database.connect() as connection:
        alerts.resolve(connection, fingerprint)


def test_alerts_are_told_once_in_order_and_so_is_recovery(database: Database, chat: ScriptedServer) -> None:
    told = targets(f"info={webhook(address_of(chat))}")
    raise_all(database, *(alert(number) for number in range(4)))
    assert relay(database, told) == RelayResult(4)

    raise_all(database, alert(2))
    resolve(database, "VSyncFailed/1")
    assert relay(database, told) == RelayResult(1)
    assert relay(database, told) == RelayResult(0)

    assert titles(chat) == [
        *(f"[warning] 00416968: sync {number} has failed" for number in range(4)),
        "[resolved] 00416968: sync 1 has failed",
    ]


def test_a_message_says_what_it_is_and_where_to_look(database: Database, chat: ScriptedServer) -> None:
    raise_all(database, alert(severity=Severity.CRITICAL), alert(severity=Severity.CRITICAL))
    relay(database, targets(f"info={webhook(address_of(chat))}"))

    [told] = notifications(chat)
    first, second, third, fourth = told["message"].splitlines()
    assert told["title"] == "[critical] 00416968: sync 1 has failed"
    assert told["type"] == "failure"
    assert first == "DICT did not answer."
    assert second.startswith("VSyncFailed, since 20")
    assert second.endswith(" UTC, raised 2 times")
    assert third == "https://dagster.example/runs/1"
    assert fourth == "docs/runbooks.md#vsyncfailed"


def test_what_stands_is_told_again_after_the_repeat_interval(database: Database, chat: ScriptedServer) -> None:
    told = targets(f"info={webhook(address_of(chat))}", repeat_hours=6)
    raise_all(database, alert())
    relay(database, told)
    advance(database, 5 * HOUR)
    assert relay(database, told) == RelayResult(0)
    advance(database, HOUR)
    assert relay(database, told) == RelayResult(1)


def test_each_target_hears_what_is_severe_enough_for_it(
    database: Database, chat: ScriptedServer, pager: ScriptedServer
) -> None:
    told = targets(f"warning={webhook(address_of(chat))}", f"critical={webhook(address_of(pager))}")
    raise_all(database, alert(1, Severity.INFO), alert(2, Severity.WARNING), alert(3, Severity.CRITICAL))

    assert relay(database, told) == RelayResult(3)

    assert titles(chat) == ["[warning] 00416968: sync 2 has failed", "[critical] 00416968: sync 3 has failed"]
    assert titles(pager) == ["[critical] 00416968: sync 3 has failed"]


def test_a_target_that_is_down_stops_no_other_and_loses_nothing(
    database: Database, chat: ScriptedServer, pager: ScriptedServer
) -> None:
    pager.answer = lambda _: Reply(503)
    told = targets(f"info={webhook(address_of(pager))}", f"info={webhook(address_of(chat))}")
    raise_all(database, alert(1), alert(2))

    result = relay(database, told)

    assert result.told == 2
    [warning] = result.warnings
    assert warning.startswith(f"the alert target {told[0].name} did not take a message: NotTaken")
    assert len(titles(chat)) == 2
    assert len(titles(pager)) == 1, "one try tells that it is down"

    resolve(database, "VSyncFailed/1")
    assert relay(database, told) == RelayResult(1), "the other one hears of the recovery"
    assert len(titles(pager)) == 1, "it is left alone for a while"

    pager.answer = lambda _: Reply()
    advance(database, timedelta(minutes=1))
    assert relay(database, told) == RelayResult(3)
    assert titles(pager)[1:] == [
        "[warning] 00416968: sync 1 has failed",
        "[resolved] 00416968: sync 1 has failed",
        "[warning] 00416968: sync 2 has failed",
    ]


def test_a_message_that_is_never_taken_does_not_hold_up_the_others(database: Database, chat: ScriptedServer) -> None:
    chat.answer = lambda request: Reply(400 if b"sync 1 " in request.body else 200)
    told = targets(f"info={webhook(address_of(chat))}")
    raise_all(database, alert(1), alert(2), alert(3))
    for _ in range(5):
        assert relay(database, told).told == 0
        advance(database, HOUR)

    result = relay(database, told)

    assert result.told == 2
    assert len(result.warnings) == 1
    assert titles(chat)[-3:-1] == ["[warning] 00416968: sync 2 has failed", "[warning] 00416968: sync 3 has failed"]


def test_no_address_is_logged_told_or_kept(
    database: Database, chat: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    chat.answer = lambda _: Reply(500)
    down = f"{LOOPBACK}:{free_port()}"
    told = targets(
        f"info={webhook(address_of(chat))}",
        f"info={webhook(down)}",
        VSYNC_ALERTMANAGER_URL=f"http://user:{SECRET}@{down}/{SECRET}",
    )
    raise_all(database, alert())
    with caplog.at_level(logging.DEBUG):
        result = relay(database, told)

    assert len(result.warnings) == 3
    assert all(warning in caplog.text for warning in result.warnings)
    with database.connect() as connection:
        states = alert_targets.states(connection, HOUR)
    assert len(states) == 3
    for said in (caplog.text, str(result), str(states), str(told)):
        assert SECRET not in said


def test_a_relay_ends_in_time_and_the_next_goes_on(database: Database, chat: ScriptedServer) -> None:
    told = targets(f"info={webhook(address_of(chat))}")
    raise_all(database, alert(1), alert(2), alert(3))
    ticks = iter([0.0, 1.0, 2.0, 99.0])

    assert relay(database, told, seconds=30, clock=lambda: next(ticks)) == RelayResult(2)
    assert relay(database, told) == RelayResult(1)
    assert len(titles(chat)) == 3


def test_without_a_target_nothing_is_asked(empty_database: Database) -> None:
    assert relay(empty_database, []) == RelayResult(0)
