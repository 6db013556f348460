"""A VSYNC_HOME for each test, of which nothing is left behind (as root, data lie below /var/tmp)."""

from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from vsync_dagster.embedded.postgres_place import find_place


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield from _home(tmp_path / "home")


@pytest.fixture
def other_home(tmp_path: Path) -> Iterator[Path]:
    yield from _home(tmp_path / "other")


def _home(folder: Path) -> Iterator[Path]:
    yield folder
    find_place((folder / "postgres").resolve()).remove()


@pytest.fixture
def new_processes() -> Callable[[], list[psutil.Process]]:
    """Return what lists the processes started since the test began: servers, their children and their lifelines."""
    before = psutil.Process().children()

    def started() -> list[psutil.Process]:
        new = [child for child in psutil.Process().children() if child not in before]
        return [process for child in new for process in (child, *child.children(recursive=True))]

    return started
