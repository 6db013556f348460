"""The sensor, evaluated as the daemon does it, against webhooks of which one is down."""

import dagster as dg
import pytest

from vsync_dagster.definitions import defs
from vsync_dagster.embedded.process import LOOPBACK, free_port
from vsync_dagster.local_db.database import Database
from vsync_dagster.resources import AlertTargets, LocalDatabase
from vsync_dagster.sensors.alert_relay import alert_relay
from vsync_dagster_tests.alerts.parts import address_of, alert, raise_all, titles, webhook
from vsync_dagster_tests.dict_api.server import Reply, scripted_server


def skip_message() -> str:
    context = dg.build_sensor_context(
        resources={"local_database": LocalDatabase(), "alert_targets": AlertTargets()}, definitions=defs
    )
    message = alert_relay.evaluate_tick(context).skip_message
    assert message is not None
    return message


def test_a_tick_tells_who_can_be_told_and_names_who_cannot(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    raise_all(database, alert(1), alert(2))
    monkeypatch.setenv("VSYNC_DATABASE_URL", database.url)
    with scripted_server() as chat:
        chat.answer = lambda _: Reply()
        down = webhook(f"{LOOPBACK}:{free_port()}")
        monkeypatch.setenv("VSYNC_ALERT_URLS", f"info={down},info={webhook(address_of(chat))}")

        said = skip_message()

        assert said.startswith("2 messages taken; the alert target json-")
        assert titles(chat) == [f"[warning] 00416968: sync {number} has failed" for number in (1, 2)]
        assert skip_message() == "0 messages taken"


def test_without_a_target_alerts_wait(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VSYNC_DATABASE_URL", database.url)
    monkeypatch.delenv("VSYNC_ALERT_URLS", raising=False)
    monkeypatch.delenv("VSYNC_ALERTMANAGER_URL", raising=False)

    assert "VSYNC_ALERT_URLS" in skip_message()
