"""Server processes that end when we end, however we end.

A server runs in a session of its own, so that Ctrl-C in the terminal reaches us first and we can stop what uses the
server before the server. Each has a lifeline besides: a small shell that waits on a pipe which only we hold open. When
we die without a word (SIGKILL, a closed terminal), the pipe closes and the shell stops the server.
"""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import psutil

from vsync_dagster.reconcile.errors import PermanentError, TransientError

LOOPBACK = "127.0.0.1"
START_SECONDS = 60.0  # PostgreSQL after a crash replays its log first
STOP_SECONDS = 30.0
PORT_ATTEMPTS = 3
POLL_SECONDS = 0.05


class Account(NamedTuple):
    """The system user that a server runs as."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Server:
    """How a server is run.

    Attributes:
        command: the program and its arguments, given the port.
        mark: one of the arguments, which no other server has; by that a leftover of a killed run is known.
        pid_file: what the server itself writes to say that it runs, if it does.
    """

    name: str
    command: Callable[[int], list[str]]
    mark: str
    folder: Path
    log: Path
    stop: signal.Signals
    account: Account | None = None
    pid_file: Path | None = None


@contextmanager
def serving(server: Server, ready: Callable[[int, int], bool]) -> Iterator[int]:
    """Run a server on a free loopback port; yield that port once `ready(pid, port)`, and stop the server on leaving.

    Between finding a free port and the server's taking it another program may take it, so it is tried three times.

    Raises:
        PermanentError: the server ended by itself each time; the text quotes why, and names its log.
        TransientError: the server runs, but was not ready within 60 s.
    """
    end_leftovers(server)
    for _ in range(PORT_ATTEMPTS):
        port = free_port()
        with _running(server, port) as process:
            if _becomes_ready(server, process, port, ready):
                yield port
                return
    raise PermanentError(
        f"the embedded {server.name} does not start: {_reason(server.log)} (see {server.log})", code="embedded-server"
    )


def end_leftovers(server: Server) -> None:
    """Stop what a killed run left behind. The caller holds the folder's lock, so no living run uses it.

    A process is known by its command line, which everybody may read: its working directory, in a container, not even
    root. If the pid file then still names a living process, that is another program which got the number.
    """
    left = [process for process in psutil.process_iter(["cmdline"]) if _is_leftover(process, server)]
    for kill in (False, True):
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL if kill else server.stop)
        left = _still_running(left)
    if server.pid_file is not None and _names_a_process(server.pid_file):
        server.pid_file.unlink()


def listens(pid: int, port: int) -> bool:
    """Return whether the process, one of our own user, listens on the TCP port."""
    try:
        connections = psutil.Process(pid).net_connections("tcp4")
    except (psutil.NoSuchProcess, psutil.AccessDenied):  # it ended; of one that waits to be reaped, access is denied
        return False
    return any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in connections)


def free_port() -> int:
    """Return a TCP port that is free on the loopback address at this moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    return port


def run_as(account: Account | None) -> dict[str, object]:
    """Return the arguments of `subprocess` that run a program as `account` and with nothing of our environment.

    Variables such as PGPORT, PGOPTIONS, LANG or RUST_LOG of the person who starts us would change the server.
    """
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
    if account is None:
        return {"env": environment}
    return {"env": environment, "user": account.uid, "group": account.gid, "extra_groups": []}


def _is_leftover(process: psutil.Process, server: Server) -> bool:
    arguments = process.info["cmdline"] or []
    return server.mark in arguments and Path(arguments[0]).name == Path(server.command(0)[0]).name


def _still_running(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Return which of the processes run on after 30 s; one that its parent does not reap does not run."""
    deadline = time.monotonic() + STOP_SECONDS
    while processes and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        processes = [process for process in processes if _runs(process)]
    return processes


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _names_a_process(pid_file: Path) -> bool:
    try:
        return bool(psutil.pid_exists(int(pid_file.read_text("ascii").split()[0])))
    except (FileNotFoundError, ValueError, IndexError):
        return False


@contextmanager
def _running(server: Server, port: int) -> Iterator[subprocess.Popen[bytes]]:
    with server.log.open("wb") as log:
        process: subprocess.Popen[bytes] = subprocess.Popen(  # type: ignore[call-overload]
            server.command(port),
            cwd=server.folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **run_as(server.account),
        )
    lifeline = None
    try:
        lifeline = _lifeline(process.pid, server.stop)
        yield process
    finally:
        _end(process, server.stop, lifeline)


def _lifeline(pid: int, stop: signal.Signals) -> subprocess.Popen[bytes]:
    """Start the shell that stops `pid` when the pipe closes before a line came through it."""
    return subprocess.Popen(
        ["/bin/sh", "-c", 'read -r line || kill -s "$1" "$2"', "sh", stop.name.removeprefix("SIG"), str(pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _end(process: subprocess.Popen[bytes], stop: signal.Signals, lifeline: subprocess.Popen[bytes] | None) -> None:
    try:
        if process.poll() is None:
            process.send_signal(stop)
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    finally:  # a second Ctrl-C may have cut the wait short: then the lifeline still does its work
        if lifeline is not None:
            lifeline.communicate(b"ended\n" if process.returncode is not None else None)


def _becomes_ready(
    server: Server, process: subprocess.Popen[bytes], port: int, ready: Callable[[int, int], bool]
) -> bool:
    """Return False if the process ended by itself."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        answers = ready(process.pid, port)
        if process.poll() is not None:
            return False
        if answers:
            return True
        time.sleep(POLL_SECONDS)
    raise TransientError(
        f"the embedded {server.name} is not ready after {START_SECONDS:.0f} s; see {server.log}", code="embedded-server"
    )


def _reason(log: Path) -> str:
    lines = log.read_text("utf-8", "replace").splitlines()
    telling = [line.strip() for line in lines if "FATAL:" in line or "Error:" in line]
    return telling[-1] if telling else "it says nothing"
