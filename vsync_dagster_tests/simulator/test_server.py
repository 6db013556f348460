"""Serving: as a process of its own, and from a thread."""

import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from vsync_dagster.simulator.faults import FaultKind
from vsync_dagster.simulator.operations import Operation
from vsync_dagster.simulator.server import running_simulator
from vsync_dagster.simulator.state import DictState
from vsync_dagster_tests.simulator.parts import BARE_HOST, DIRECT, Api, an_entry, fetch

SERVE = (
    "import sys; from pathlib import Path; from vsync_dagster.simulator.server import serve;"
    "serve(Path(sys.argv[1]), '127.0.0.1', int(sys.argv[2]))"
)


def test_a_process_serves_a_state_that_others_change_and_ends_on_a_signal(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    path = tmp_path / "dict.sqlite"
    with (
        DictState(path, now=lambda: datetime.now(UTC)) as state,
        subprocess.Popen([sys.executable, "-c", SERVE, str(path), str(port)], stderr=subprocess.PIPE) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v2/", headers=BARE_HOST, timeout=10) as http,
    ):
        try:
            state.participants.add(DIRECT)
            cid = state.create_entry(an_entry())
            _wait_for(port)
            assert Api(http).get(f"cids/entries/{cid.hex()}").status_code == 200
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(10) == -signal.SIGTERM
        assert process.stderr is not None
        assert process.stderr.read() == b""


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("the server did not listen")


def test_leaving_ends_the_server_even_while_a_call_hangs(state: DictState) -> None:
    state.faults.add(Operation.LIST_POLICIES, FaultKind.HANG, seconds=60)
    with running_simulator(state) as url, httpx.Client(base_url=url, headers=BARE_HOST) as http:
        with pytest.raises(httpx.ReadTimeout):
            http.get("policies/", headers={"PI-RequestingParticipant": DIRECT}, timeout=0.2)
        began = time.monotonic()
    assert time.monotonic() - began < 10
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_two_simulators_run_at_once_on_ports_of_their_own(state: DictState) -> None:
    with running_simulator(state) as first, running_simulator(state) as second:
        assert first != second
        assert all(fetch(f"{url}nothing").status_code == 404 for url in (first, second))
