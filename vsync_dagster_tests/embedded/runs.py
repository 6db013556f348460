"""Runs of embedded servers in another process, for the tests that end it without a word."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

_SCRIPT = """
import pathlib, signal, sys, time
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever runs the tests may ignore it
from vsync_dagster.embedded.broker import embedded_broker
from vsync_dagster.embedded.postgres import embedded_postgres
with {server}(pathlib.Path(sys.argv[1])) as url:
    print(url, flush=True)
    time.sleep(600)
"""
SERVERS = ["embedded_postgres", "embedded_broker"]
PROGRAMS = {"postgres", "pulsar-lite"}


def start_run(server: str, home: Path) -> tuple[subprocess.Popen[str], str]:
    """Start a process that holds the server; return it, and the server's URL."""
    script = [sys.executable, "-c", _SCRIPT.format(server=server), str(home)]
    run = subprocess.Popen(script, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert run.stdout is not None
    return run, run.stdout.readline().strip()


def end_run(run: subprocess.Popen[str]) -> str:
    """Wait for the process and return what it wrote to stderr."""
    return run.communicate(timeout=30)[1]


def servers_of(run: subprocess.Popen[str]) -> list[psutil.Process]:
    """Return the server of a run and its lifeline."""
    return list(psutil.Process(run.pid).children())


def main_server(processes: list[psutil.Process]) -> psutil.Process:
    """Return the one that is the server itself."""
    return next(process for process in processes if process.name() in PROGRAMS)


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> bool:
    """Return whether the condition came true in time."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def all_gone(processes: list[psutil.Process]) -> bool:
    """Return whether none of the processes runs; one that waits to be reaped does not run."""
    return not any(_runs(process) for process in processes)


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
