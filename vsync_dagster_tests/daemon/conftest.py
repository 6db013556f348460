from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from vsync_dagster.local_db.database import Database
from vsync_dagster.simulator.buckets import DOCUMENTED, Limit
from vsync_dagster.simulator.settings import Settings
from vsync_dagster_tests.world import World, running_world

# A lag of the log below that with which a sync reckons by itself: nothing is in flight once a process has started.
PLENTY = Limit(1_000_000, 1_000_000, 60)
UNMETERED = Settings(log_lag=timedelta(0), file_delay=timedelta(0), limits=dict.fromkeys(DOCUMENTED, PLENTY))


@pytest.fixture
def world(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A participant without keys, and a DICT that grants any number of calls."""
    with running_world(database, tmp_path, monkeypatch, UNMETERED) as running:
        yield running
