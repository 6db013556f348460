"""Against Debian's Alertmanager, which is the judge of what it is posted."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from vsync_dagster.alerts.relay import RelayResult, relay
from vsync_dagster.local_db import alerts
from vsync_dagster.local_db.database import Database
from vsync_dagster_tests.alerts.parts import alert, raise_all, targets
from vsync_dagster_tests.monitoring import running_alertmanager, standing_at


def test_an_alert_stands_there_until_it_is_resolved_here(database: Database, tmp_path: Path) -> None:
    with running_alertmanager(tmp_path) as url:
        told = targets(VSYNC_ALERTMANAGER_URL=url)
        raise_all(database, alert(1), alert(2))
        assert relay(database, told) == RelayResult(2)

        first, second = standing_at(url)
        assert first["labels"]["fingerprint"] == "VSyncFailed/1"
        assert second["labels"]["ispb"] == "00416968"
        assert second["annotations"]["summary"] == "00416968: sync 2 has failed"
        assert second["generatorURL"] == "https://dagster.example/runs/2"

        with database.connect() as connection:
            alerts.resolve(connection, "VSyncFailed/1")
        assert relay(database, told) == RelayResult(1)

        assert [each["labels"]["fingerprint"] for each in standing_at(url)] == ["VSyncFailed/2"]


def test_a_silenced_alert_goes_on_standing_there_and_is_silenced(database: Database, tmp_path: Path) -> None:
    """Were it left out, Alertmanager would take it for resolved, and say so."""
    with running_alertmanager(tmp_path) as url:
        told = targets(VSYNC_ALERTMANAGER_URL=url)
        raise_all(database, alert(1), alert(2))
        assert relay(database, told) == RelayResult(2)
        for hours in (8, 1, 1):
            with database.connect() as connection:
                until = datetime.now(UTC) + timedelta(hours=hours)
                alerts.silence(connection, "VSyncFailed/1", "ticket 4711", until)
                connection.execute("update alert_deliveries set told_at = told_at - interval '2 minutes'")
            relay(database, told)

        states = {each["labels"]["fingerprint"]: each["status"]["state"] for each in standing_at(url)}
        assert states == {"VSyncFailed/1": "suppressed", "VSyncFailed/2": "active"}
        active = [each for each in httpx.get(f"{url}/api/v2/silences").json() if each["status"]["state"] == "active"]
        assert [each["endsAt"][:19] for each in active] == [until.isoformat()[:19]]
