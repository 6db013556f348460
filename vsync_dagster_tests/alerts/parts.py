"""Alerts, and webhooks that take them, refuse them, or are not there."""

import json
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from vsync_dagster.alerts.targets import Target, read_targets
from vsync_dagster.environment import Environment
from vsync_dagster.local_db import alerts
from vsync_dagster.local_db.alerts import Alert, Severity
from vsync_dagster.local_db.database import Database
from vsync_dagster_tests.dict_api.server import ScriptedServer

SECRET = "geheim4711"


def alert(number: int = 1, severity: Severity = Severity.WARNING) -> Alert:
    """Return one of a series of alerts."""
    return Alert(
        fingerprint=f"VSyncFailed/{number}",
        name="VSyncFailed",
        severity=severity,
        title=f"00416968: sync {number} has failed",
        text="DICT did not answer.",
        link=f"https://dagster.example/runs/{number}",
        labels={"ispb": "00416968"},
    )


def raise_all(database: Database, *raised: Alert) -> None:
    with database.connect() as connection:
        for each in raised:
            alerts.raise_alert(connection, each)


def webhook(address: str, path: str = SECRET) -> str:
    """Return apprise's URL of a webhook at `host:port`, with a password and a token in it."""
    return f"json://user:{SECRET}@{address}/{path}?cto=2&rto=2"


def address_of(server: ScriptedServer) -> str:
    return urlsplit(server.url).netloc


def targets(*routes: str, repeat_hours: int = 24, **variables: str) -> list[Target]:
    """Return the targets of `severity=url` routes and of further variables."""
    urls = {"VSYNC_ALERT_URLS": ",".join(routes)} if routes else {}
    return read_targets(Environment({**urls, "VSYNC_ALERT_REPEAT_HOURS": str(repeat_hours), **variables}))


def titles(server: ScriptedServer) -> list[str]:
    """Return the titles of the notifications that a webhook received, in their order."""
    return [notification["title"] for notification in notifications(server)]


def notifications(server: ScriptedServer) -> list[dict[str, Any]]:
    return [json.loads(request.body) for request in server.received]


def advance(database: Database, by: timedelta) -> None:
    """Have everything about the targets be longer ago."""
    with database.connect() as connection:
        connection.execute("update alert_targets set next_try_at = next_try_at - %s", [by])
        connection.execute("update alert_deliveries set told_at = told_at - %s", [by])
