"""The `vsync` command as its users run it: a process, an environment, two streams and an exit code."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from vsync_dagster.local_db.database import Database
from vsync_dagster_tests.world import World, running_world


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON object that stdout holds, and nothing beside it."""
        [line] = self.out.splitlines()
        value: dict[str, Any] = json.loads(line)
        return value


@dataclass(frozen=True)
class Command:
    """Runs `vsync` with the given variables and no others of ours."""

    variables: dict[str, str]
    folder: Path

    def __call__(self, *arguments: str, **changes: str | None) -> Ran:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("VSYNC_", "DAGSTER_"))}
        changed = {**kept, **self.variables, **changes}
        environment = {name: value for name, value in changed.items() if value is not None}
        command = [str(Path(sys.executable).with_name("vsync")), *arguments]
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=120)
        return Ran(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def vsync(tmp_path: Path) -> Command:
    """The command without any variable set."""
    return Command({}, tmp_path)


@pytest.fixture
def world(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A participant without keys, and a DICT."""
    with running_world(database, tmp_path, monkeypatch) as running:
        yield running


@pytest.fixture
def synced(world: World, tmp_path: Path) -> Command:
    """The command with the world's variables."""
    return Command(dict(world.variables.variables), tmp_path)
