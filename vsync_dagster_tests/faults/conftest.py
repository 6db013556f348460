"""Faults are real; only the pauses between attempts, and the patience with a silent peer, are shortened."""

import functools
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from vsync_dagster.dict_api.client import DictClient
from vsync_dagster.local_db.database import Database
from vsync_dagster.simulator.buckets import DOCUMENTED, Limit
from vsync_dagster.simulator.settings import Settings
from vsync_dagster_tests.events.conftest import restartable_broker as restartable_broker
from vsync_dagster_tests.world import LAG, World, running_world

CALL_TIMEOUT = 1.0
PLENTY = Limit(1_000_000, 1_000_000, 60)
UNMETERED = Settings(log_lag=timedelta(seconds=LAG), file_delay=timedelta(0), limits=dict.fromkeys(DOCUMENTED, PLENTY))


@pytest.fixture
def world(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A participant without keys, and a DICT whose faults cost no waiting."""
    patient = functools.partial(DictClient, sleep=lambda _: None, call_timeout=CALL_TIMEOUT)
    monkeypatch.setattr("vsync_dagster.sync.connection.DictClient", patient)
    with running_world(database, tmp_path, monkeypatch, UNMETERED) as running:
        yield running


@pytest.fixture
def unmetered_world(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A participant without keys, and a DICT that grants any number of calls: for tests of many syncs in a row."""
    with running_world(database, tmp_path, monkeypatch, UNMETERED) as running:
        # Whatever is run again after a kill need not wait long for the dead.
        monkeypatch.setenv("VSYNC_LEASE_SECONDS", "1")
        yield running
