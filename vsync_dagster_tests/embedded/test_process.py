"""Starting and stopping a server that misbehaves."""

import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from vsync_dagster.embedded import process
from vsync_dagster.embedded.process import LOOPBACK, Server, free_port, listens, serving
from vsync_dagster.reconcile.errors import PermanentError, TransientError

NewProcesses = Callable[[], list[psutil.Process]]

LISTENER = "import socket, sys, time; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); time.sleep(600)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + LISTENER


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path.resolve()


def fake(folder: Path, program: str) -> Server:
    def command(port: int) -> list[str]:
        return [sys.executable, "-c", program, str(port)]

    return Server("server", command, mark=program, folder=folder, log=folder / "log", stop=signal.SIGTERM)


def test_a_server_that_ends_by_itself_is_quoted(folder: Path) -> None:
    program = "raise SystemExit('chatter\\nError: no space left\\nmore chatter')"
    with (
        pytest.raises(PermanentError, match=r"server does not start: Error: no space left \(see .*log\)"),
        serving(fake(folder, program), listens),
    ):
        pass


def test_a_server_that_says_nothing(folder: Path) -> None:
    with (
        pytest.raises(PermanentError, match="server does not start: it says nothing"),
        serving(fake(folder, "raise SystemExit(1)"), listens),
    ):
        pass


def test_a_server_that_is_never_ready_is_stopped(
    folder: Path, monkeypatch: pytest.MonkeyPatch, new_processes: NewProcesses
) -> None:
    monkeypatch.setattr(process, "START_SECONDS", 0.3)
    with (
        pytest.raises(TransientError, match="is not ready after"),
        serving(fake(folder, "import time; time.sleep(600)"), listens),
    ):
        pass
    assert not new_processes()


def test_a_port_that_was_taken_meanwhile_is_tried_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        free = free_port()
        ports: Iterator[int] = iter([taken.getsockname()[1], free])
        monkeypatch.setattr(process, "free_port", lambda: next(ports))
        with serving(fake(folder, LISTENER), listens) as port:
            assert port == free


def test_a_server_that_does_not_want_to_stop_is_killed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, new_processes: NewProcesses
) -> None:
    monkeypatch.setattr(process, "STOP_SECONDS", 0.3)
    with serving(fake(folder, STUBBORN), listens):
        pass
    assert not new_processes()
