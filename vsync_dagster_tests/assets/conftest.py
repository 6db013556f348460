from collections.abc import Iterator
from pathlib import Path

import pytest

from vsync_dagster.local_db.database import Database
from vsync_dagster_tests.world import World, running_world


@pytest.fixture
def world(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A participant without keys, and a DICT."""
    with running_world(database, tmp_path, monkeypatch) as running:
        yield running
