"""A participant whose customers go on changing keys while it is synced, and the broker that hears of it."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pulsar
import pytest

from vsync_dagster.dict_api.event_log import MAX_PAGES, read_events
from vsync_dagster.embedded.broker import embedded_broker
from vsync_dagster.environment import DEFAULT_TOPIC
from vsync_dagster.local_db.database import Database
from vsync_dagster.simulator.buckets import DOCUMENTED, Limit
from vsync_dagster.simulator.drift import drift
from vsync_dagster.simulator.local_base import seed_local
from vsync_dagster.simulator.population import generate
from vsync_dagster.simulator.settings import Settings
from vsync_dagster_tests.world import ISPB, LAG, World, running_world


@contextmanager
def customers(world: World, pause: float) -> Iterator[list[str]]:
    """Register phones properly on both sides, DICT first, until the block ends; yields their keys as they come."""
    keys: list[str] = []
    stop = threading.Event()

    def register() -> None:
        for entry in generate(ISPB, 10_000, "customers", ["PHONE"]):
            if stop.is_set():
                return
            world.directory.create_entry(entry)
            with world.database.connect() as connection:
                seed_local(connection, [entry])
            keys.append(entry.key)
            time.sleep(pause)

    writer = threading.Thread(target=register)
    writer.start()
    try:
        yield keys
    finally:
        stop.set()
        writer.join()


@pytest.mark.parametrize("sync_type", ["FULL", "INCREMENTAL"])
def test_customers_changes_are_neither_reported_nor_overwritten(world: World, sync_type: str) -> None:
    world.populate(100)
    world.sync()
    drift(world.directory, None, ISPB, creates=3, updates=3, deletes=2, key_types=["PHONE"])
    world.settle()

    with customers(world, pause=0.02) as keys:
        time.sleep(0.5)
        report = world.sync(sync_type)

    assert len(keys) > 20
    assert (report.entries_created, report.entries_updated, report.entries_deleted) == (3, 3, 2)
    assert (report.discrepancies, report.fixes_failed) == (8, 0)
    assert report.key_types["PHONE"]["after"] == "OK", "a set that never stands still is proved by the event chain"
    world.settle()
    assert world.sync().verified
    assert len(world.cids_here() - world.cids_at_dict()) == 2, "but for the two keys under review"


def test_a_file_is_brought_up_to_date_by_a_log_of_any_length(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More pages than would be worth reading in place of a file: there is nothing else to read beside one."""
    monkeypatch.setattr("vsync_dagster.sync.dict_set.read_events", partial(read_events, page_limit=3))
    unlimited = DOCUMENTED | {"CIDS_EVENTS_LIST": Limit(10_000, 10_000, 1)}
    settings = Settings(log_lag=timedelta(seconds=LAG), file_delay=timedelta(0), limits=unlimited)
    with running_world(database, tmp_path, monkeypatch, settings) as world:
        world.populate(25)
        world.sync()
        missed = generate(ISPB, 2 * MAX_PAGES + 10, "missed", ["PHONE"])
        world.directory.bulk_create(missed, log_from=datetime.now(UTC) - timedelta(seconds=0.5))  # one a millisecond
        world.settle()

        report = world.sync("FULL")

        assert report.verified, report.error_message
        assert report.entries_created == 2 * MAX_PAGES + 10
        assert world.calls("listCidSetEvents") > MAX_PAGES


def test_the_events_of_a_sync_reach_the_broker(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world.populate(25)
    drift(world.directory, None, ISPB, creates=2, updates=1)
    world.settle()
    with embedded_broker(tmp_path / "broker") as url:
        monkeypatch.setenv("VSYNC_PULSAR_URL", url)
        report = world.sync()
        client = pulsar.Client(url, logger=pulsar.FileLogger(pulsar.LoggerLevel.Error, str(tmp_path / "log")))
        try:
            reader = client.create_reader(DEFAULT_TOPIC, pulsar.MessageId.earliest)
            properties = [reader.read_next(5_000).properties() for _ in range(4)]
        finally:
            client.close()

    assert [each["type"] for each in properties][-1] == "vsync.sync.completed"
    assert sorted(each["type"] for each in properties[:3]) == ["vsync.entry.created"] * 2 + ["vsync.entry.updated"]
    assert {each["subject"] for each in properties} == {ISPB}
    assert report.status == "COMPLETED"
    assert world.sql("select count(*) from outbox where published_at is null") == [(0,)]


def test_without_a_broker_that_answers_the_sync_is_done_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.populate(25)
    monkeypatch.setenv("VSYNC_PULSAR_URL", "pulsar://127.0.0.1:1")
    monkeypatch.setattr("vsync_dagster.resources.relay", _refused)

    assert world.sync().status == "COMPLETED"
    assert world.sql("select count(*) from outbox where published_at is null") == [(1,)]


def _refused(*arguments: object) -> object:
    from vsync_dagster.events.relay import relay

    return relay(*arguments, attempts=1, timeout=1, sleep=lambda _: None)  # type: ignore[arg-type]
