"""`vsync metrics` as a process: what it serves, and how it ends."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from vsync_dagster.local_db.database import Database
from vsync_dagster_tests.cli.conftest import Command


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_told_to_end(database: Database, how: signal.Signals) -> None:
    command = [str(Path(sys.executable).with_name("vsync")), "metrics", "--port", "0"]
    environment = {**os.environ, "VSYNC_DATABASE_URL": database.url, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            told = re.fullmatch(r"metrics at (http://127\.0\.0\.1:\d+/metrics)\n", said)
            assert told, said
            served = httpx.get(told[1], timeout=30)
            assert (served.status_code, "vsync_up 1.0" in served.text) == (200, True)
            process.send_signal(how)
            assert process.wait(30) == 0
        finally:
            process.kill()


def test_without_a_database_named_it_does_not_start(vsync: Command) -> None:
    ran = vsync("metrics")

    assert ran.status == 64
    assert ran.err.startswith("vsync: VSYNC_DATABASE_URL is not set")


def test_a_port_that_is_taken_is_one_line(vsync: Command, database: Database) -> None:
    taken = database.url.rsplit(":", 1)[1].split("/")[0]

    ran = vsync("metrics", "--port", taken, VSYNC_DATABASE_URL=database.url)

    assert ran.status == 64
    assert f"cannot listen on 127.0.0.1:{taken}" in ran.err
