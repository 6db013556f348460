"""Which targets the environment names, and what Alertmanager is posted."""

import json
import logging.config

import pytest

from vsync_dagster.alerts.relay import RelayResult, relay
from vsync_dagster.alerts.targets import read_targets
from vsync_dagster.environment import Environment
from vsync_dagster.local_db.database import Database
from vsync_dagster.reconcile.errors import EnvironmentVariableError
from vsync_dagster_tests.alerts.parts import SECRET, alert, raise_all, targets, webhook
from vsync_dagster_tests.dict_api.server import Reply, ScriptedServer


def test_a_target_is_a_severity_and_a_url_which_may_hold_commas() -> None:
    mail = f"mailto://vsync:{SECRET}@example.com?to=a@example.com,b@example.com"
    chat = "slack://xoxb-1234-1234-4ddbc191d40ee098cbaae6f3523ada2d/#alerts"
    read = targets(f"critical={mail}", f" warning={chat}")

    assert [(target.name.split("-")[0], target.minimum) for target in read] == [
        ("mailto", "critical"),
        ("slack", "warning"),
    ]
    assert targets() == []


def test_a_target_keeps_its_name_when_others_come_or_its_password_changes() -> None:
    one, other = webhook("a.example"), webhook("b.example")
    [alone] = targets(f"info={one}")
    [_, beside] = targets(f"info={other}", f"critical={one}")
    [renewed] = targets(f"info={one.replace(f'user:{SECRET}', 'user:another')}")

    assert alone.name == beside.name == renewed.name
    assert targets(f"info={other}")[0].name != alone.name


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (f"slack://{SECRET}", "entry 1"),
        (f"info=json://host, urgent=json://{SECRET}@host", "entry 2"),
        (f"info=nonsense://{SECRET}@host", "entry 1"),
        (f"info=json://{SECRET}@host,warning=json://{SECRET}@host", "names a target twice"),
    ],
)
def test_a_malformed_one_is_named_by_its_place(
    value: str, said: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False, "incremental": False})
    with pytest.raises(EnvironmentVariableError, match=f"^VSYNC_ALERT_URLS .*{said}") as error:
        read_targets(Environment({"VSYNC_ALERT_URLS": value}))
    printed = capfd.readouterr()
    assert SECRET not in str(error.value) + caplog.text + printed.out + printed.err


@pytest.mark.parametrize("value", ["0", "-1", "a day"])
def test_the_repeat_interval_is_some_hours(value: str) -> None:
    with pytest.raises(EnvironmentVariableError, match="VSYNC_ALERT_REPEAT_HOURS is malformed"):
        _ = Environment({"VSYNC_ALERT_REPEAT_HOURS": value}).alert_repeat


def test_a_run_is_linked_to_where_people_reach_dagster() -> None:
    assert Environment({"VSYNC_DAGSTER_URL": "https://d.example/"}).run_link("1") == "https://d.example/runs/1"
    assert Environment({}).run_link("1") is None


def test_alertmanager_is_posted_all_alerts_at_once_and_again_while_they_stand(
    database: Database, chat: ScriptedServer
) -> None:
    told = targets(VSYNC_ALERTMANAGER_URL=chat.url)
    raise_all(database, alert(1), alert(2))

    assert relay(database, told) == RelayResult(2)
    assert relay(database, told) == RelayResult(0), "not before a minute has passed"

    [request] = chat.received
    assert request.path == "/api/v2/api/v2/alerts", "the API is below the URL"
    first, second = json.loads(request.body)
    assert second["labels"]["fingerprint"] == "VSyncFailed/2"
    assert first["labels"] == {
        "alertname": "VSyncFailed",
        "severity": "warning",
        "ispb": "00416968",
        "fingerprint": "VSyncFailed/1",
        "source": "vsync",
    }
    assert first["annotations"] == {
        "summary": "00416968: sync 1 has failed",
        "description": "DICT did not answer.",
        "runbook": "docs/runbooks.md#vsyncfailed",
    }
    assert first["generatorURL"] == "https://dagster.example/runs/1"
    assert first["startsAt"] < first["endsAt"]


def test_alertmanager_that_refuses_is_tried_again(database: Database, chat: ScriptedServer) -> None:
    chat.answer = lambda _: Reply(400, b"geheim")
    raise_all(database, alert())

    result = relay(database, targets(VSYNC_ALERTMANAGER_URL=chat.url))

    assert result.warnings == (
        "the alert target alertmanager did not take a message: HTTP 400; it is tried again later",
    )
