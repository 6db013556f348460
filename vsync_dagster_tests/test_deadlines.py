"""A test that waits for something that never comes fails by itself."""

import subprocess
import sys
from pathlib import Path

import pytest

from vsync_dagster_tests.waiting import wait_until

ROOT = Path(__file__).parent.parent
HANGS = """
import threading

def test_hangs():
    threading.Event().wait()

def test_next():
    pass
"""


def test_each_test_has_a_deadline(request: pytest.FixtureRequest) -> None:
    assert request.config.pluginmanager.has_plugin("timeout")
    assert 0 < float(request.config.getini("timeout")) <= 600


def test_one_that_hangs_fails_and_the_next_one_runs(tmp_path: Path) -> None:
    hangs = tmp_path / "test_it.py"
    hangs.write_text(HANGS)
    options = ["-c", ROOT / "pyproject.toml", "-o", "timeout=0.5", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *map(str, options), str(hangs)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "1 failed, 1 passed" in done.stdout
    assert "Timeout" in done.stdout


@pytest.mark.long
@pytest.mark.parametrize("seconds", [pytest.param(3_600, id="its own"), pytest.param(7, marks=pytest.mark.timeout(7))])
def test_one_that_takes_minutes_has_a_longer_deadline(request: pytest.FixtureRequest, seconds: int) -> None:
    assert [mark.args for mark in request.node.iter_markers("timeout")] == [(seconds,)]


def test_waiting_ends_where_what_is_waited_for_cannot_come() -> None:
    with pytest.raises(AssertionError, match="it ended"):
        wait_until(lambda: False, "it ended", ended=lambda: True)
    with pytest.raises(AssertionError, match="after 0 s: it never comes"):
        wait_until(lambda: False, "it never comes", seconds=0.01)
