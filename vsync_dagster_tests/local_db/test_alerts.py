from dataclasses import replace

from vsync_dagster.local_db import alerts
from vsync_dagster.local_db.alerts import Alert, Severity
from vsync_dagster.local_db.database import Connection

ALERT = Alert(
    fingerprint="VSyncFailed/00416968",
    name="VSyncFailed",
    severity=Severity.WARNING,
    title="00416968: the sync has failed",
    text="DICT did not answer.",
    link="https://dagster.example/runs/1",
    labels={"ispb": "00416968"},
)


def test_an_alert_stands_as_it_was_raised(conn: Connection) -> None:
    assert alerts.raise_alert(conn, ALERT)

    [raised] = alerts.standing(conn)
    assert (raised.alert, raised.times_raised, raised.resolved_at) == (ALERT, 1, None)


def test_raised_again_it_is_the_same_alert_and_says_what_was_said_last(conn: Connection) -> None:
    alerts.raise_alert(conn, ALERT)
    [first] = alerts.standing(conn)
    worse = replace(ALERT, severity=Severity.CRITICAL, text="DICT has not answered for a day.", link=None)

    assert not alerts.raise_alert(conn, worse)

    [raised] = alerts.standing(conn)
    assert (raised.alert, raised.times_raised) == (worse, 2)
    assert (raised.id, raised.raised_at) == (first.id, first.raised_at)


def test_a_resolved_alert_stands_no_longer_and_begins_anew(conn: Connection) -> None:
    alerts.raise_alert(conn, ALERT)
    [first] = alerts.standing(conn)

    assert alerts.resolve(conn, ALERT.fingerprint)
    assert not alerts.resolve(conn, ALERT.fingerprint)
    assert alerts.standing(conn) == []

    assert alerts.raise_alert(conn, ALERT)
    [again] = alerts.standing(conn)
    assert again.id > first.id


def test_the_most_severe_come_first(conn: Connection) -> None:
    for severity in (Severity.WARNING, Severity.CRITICAL, Severity.INFO):
        alerts.raise_alert(conn, replace(ALERT, fingerprint=severity, severity=severity))

    assert [each.alert.severity for each in alerts.standing(conn)] == ["critical", "warning", "info"]
