"""Each check that failed is told once, of whatever partition, and none is lost between two ticks."""

from collections.abc import Iterator
from datetime import date

import dagster as dg
import pytest

from vsync_dagster.definitions import defs
from vsync_dagster.local_db import alerts
from vsync_dagster.local_db.database import Database
from vsync_dagster.partitions import SyncPartition
from vsync_dagster.resources import LocalDatabase
from vsync_dagster.sensors import exceeded_thresholds as room
from vsync_dagster_tests.world import DAY, ISPB

BEFORE, AFTER = date(2026, 11, 23), date(2026, 11, 25)


@pytest.fixture
def instance(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("VSYNC_DATABASE_URL", database.url)
    monkeypatch.setattr(room, "SETTLED_S", 0.0)
    with dg.DagsterInstance.ephemeral() as running:
        yield running


def checked(instance: dg.DagsterInstance, *, passed: bool, ispb: str = ISPB, day: date = DAY) -> None:
    instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            dg.AssetKey("sync_report"),
            "missing_bacen",
            passed,
            {"value": dg.MetadataValue.int(11), "limit": dg.MetadataValue.int(10)},
            partition=SyncPartition(day, ispb).key,
        )
    )


def tick(instance: dg.DagsterInstance, cursor: str | None = None) -> str | None:
    """Evaluate the sensor as the daemon does, and return its new cursor."""
    context = dg.build_sensor_context(instance, cursor, resources={"local_database": LocalDatabase()}, definitions=defs)
    return room.exceeded_thresholds.evaluate_tick(context).cursor


def told(database: Database) -> list[str]:
    rows = database.retrying(
        lambda connection: connection.execute("select fingerprint from alerts order by id").fetchall()
    )
    return [fingerprint for (fingerprint,) in rows]


def standing(database: Database) -> list[str]:
    with database.connect() as connection:
        return [each.alert.fingerprint for each in alerts.standing(connection)]


def test_fifty_partitions_that_end_in_one_tick_are_all_told_in_order_and_once(
    database: Database, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "AT_ONCE", 20)
    ispbs = [f"{number:08}" for number in range(50)]
    for ispb in ispbs:
        checked(instance, passed=False, ispb=ispb)
    cursor = tick(instance)
    for _ in range(3):
        cursor = tick(instance, cursor)

    assert told(database) == [f"VSyncMissingBacen/{ispb}/{DAY}" for ispb in ispbs]
    times = database.retrying(lambda connection: connection.execute("select max(times_raised) from alerts").fetchall())
    assert times == [(1,)]


def test_what_is_too_young_waits_for_the_next_tick(
    database: Database, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked(instance, passed=False)
    monkeypatch.setattr(room, "SETTLED_S", 3_600.0)
    cursor = tick(instance)
    assert told(database) == []
    monkeypatch.setattr(room, "SETTLED_S", 0.0)
    tick(instance, cursor)
    assert told(database) == [f"VSyncMissingBacen/{ISPB}/{DAY}"]


def test_a_later_sync_that_passes_takes_it_back_and_an_older_one_does_not(
    database: Database, instance: dg.DagsterInstance
) -> None:
    checked(instance, passed=False)
    cursor = tick(instance)
    with database.connect() as connection:
        [each] = alerts.standing(connection)
    assert each.alert.title == f"{ISPB}: missing_bacen of the sync of {DAY} is 11, above 10"
    checked(instance, passed=True, day=BEFORE)
    checked(instance, passed=True, ispb="87654321")
    cursor = tick(instance, cursor)
    assert standing(database) == [each.alert.fingerprint]
    checked(instance, passed=True, day=AFTER)
    tick(instance, cursor)
    assert standing(database) == []
