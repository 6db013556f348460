"""`vsync alerts`, which tells whether those who should hear of alerts do."""

from collections.abc import Iterator

import pytest

from vsync_dagster.alerts.relay import relay
from vsync_dagster.embedded.process import LOOPBACK, free_port
from vsync_dagster.local_db.database import Database
from vsync_dagster_tests.alerts.parts import SECRET, address_of, alert, raise_all, targets, titles, webhook
from vsync_dagster_tests.cli.conftest import Command
from vsync_dagster_tests.dict_api.server import Reply, ScriptedServer, scripted_server

DOWN = webhook(f"{LOOPBACK}:{free_port()}")


@pytest.fixture
def chat() -> Iterator[ScriptedServer]:
    with scripted_server() as server:
        server.answer = lambda _: Reply()
        yield server


def test_each_target_gets_a_test_whatever_its_severity_and_the_one_that_is_down_is_named(
    vsync: Command, chat: ScriptedServer
) -> None:
    ran = vsync("alerts", "test", VSYNC_ALERT_URLS=f"warning={DOWN},critical={webhook(address_of(chat))}")

    assert ran.status == 2
    down, up = ran.out.splitlines()
    assert "did not take a message" in down
    assert up.endswith(": taken (from critical on)")
    said = "1 of 2 targets took no message: check their URLs and the network"
    assert ran.err == f"vsync: {said} (see docs/messages.md#alert-target)\n"
    assert titles(chat) == ["[info] VSYNC tests its alerts"]
    assert SECRET not in ran.out


def test_a_test_without_targets_says_what_to_set(vsync: Command) -> None:
    ran = vsync("alerts", "test")

    assert (ran.status, ran.out) == (64, "")
    assert ran.err.startswith("vsync: VSYNC_ALERT_URLS is not set")


def test_status_tells_what_stands_and_how_targets_do(vsync: Command, database: Database, chat: ScriptedServer) -> None:
    assert vsync("alerts", "status", VSYNC_DATABASE_URL=database.url).out == "no alert stands\n"
    raise_all(database, alert(1), alert(2))
    relay(database, targets(f"info={webhook(address_of(chat))}", f"info={DOWN}"))

    ran = vsync("alerts", "status", VSYNC_DATABASE_URL=database.url)
    told = vsync("alerts", "status", "--json", VSYNC_DATABASE_URL=database.url).json

    assert "warning   VSyncFailed/1  00416968: sync 1 has failed" in ran.out
    assert "2 waiting, never took one, failed 1 times: NotTaken" in ran.out
    assert "0 waiting, last took one 20" in ran.out
    assert [each["alert"]["fingerprint"] for each in told["standing"]] == ["VSyncFailed/1", "VSyncFailed/2"]
    assert sorted(each["waiting"] for each in told["targets"]) == [0, 2]


def test_a_person_lists_silences_and_resolves(vsync: Command, database: Database) -> None:
    raise_all(database, alert(1))
    base = {"VSYNC_DATABASE_URL": database.url}

    silenced = vsync("alerts", "silence", "VSyncFailed/1", "--hours", "8", "--reason", "ticket 4711", **base)
    listed = vsync("alerts", "list", **base)
    resolved = vsync("alerts", "resolve", "VSyncFailed/1", "--reason", "mistyped", **base)
    again = vsync("alerts", "resolve", "VSyncFailed/1", "--reason", "mistyped", **base)

    assert silenced.out.startswith("VSyncFailed/1 is silenced until 20")
    assert "VSyncFailed/1  00416968: sync 1 has failed, silenced until 20" in listed.out
    assert resolved.out == "VSyncFailed/1 is resolved\n"
    assert (again.status, "no such alert stands" in again.err) == (64, True)
