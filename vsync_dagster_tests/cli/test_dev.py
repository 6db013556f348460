"""`vsync dev` leaves everything running, and nothing once it is told to stop."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest

from vsync_dagster.embedded.process import free_port
from vsync_dagster_tests.cli.conftest import Command
from vsync_dagster_tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
VSYNC = Path(sys.executable).with_name("vsync")


def _kept() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("VSYNC_", "DAGSTER_"))}


def test_a_busy_port_is_an_error_before_anything_starts(vsync: Command, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        ran = vsync("dev", "--port", str(port), VSYNC_HOME=str(tmp_path / "home"))
        other = vsync("dev", "--port", str(free_port()), "--console-port", str(port), VSYNC_HOME=str(tmp_path / "home"))

    assert (ran.status, ran.out, other.status) == (2, "", 2)
    said = "choose another with --port (make dev PORT=3001) (see docs/messages.md#port-in-use)"
    assert ran.err == f"vsync: port {port} is in use: {said}\n"
    assert "--console-port" in other.err
    assert not (tmp_path / "home").exists()


def test_make_hands_the_ports_on() -> None:
    made = subprocess.run(
        ["make", "-n", "dev", "PORT=3001", "CONSOLE_PORT=3011"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "vsync dev --port 3001 --console-port 3011" in made.stdout


@pytest.mark.long
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_dev_serves_everything_and_ends_with_all_that_it_started(tmp_path: Path, how: signal.Signals) -> None:
    port, console_port = free_port(), free_port()
    command = [str(VSYNC), "dev", "--port", str(port), "--console-port", str(console_port)]
    out, err = tmp_path / "out", tmp_path / "err"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        server = subprocess.Popen(
            command, cwd=tmp_path, env={**_kept(), "VSYNC_HOME": str(tmp_path / "home")}, stdout=stdout, stderr=stderr
        )
    address = f"Dagster UI: http://127.0.0.1:{port}"
    try:
        wait_until(lambda: address in err.read_text(), "the address is told", ended=server.poll, seconds=300)
        assert httpx.get(f"http://127.0.0.1:{port}/server_info").is_success, "what is told answers"
        assert _answers(f"http://127.0.0.1:{console_port}/login")
        beside = f"{out.read_text()}\n{VSYNC} simulator fault set createSyncVerification STATUS --status 403\n"
        faulty = subprocess.run(
            ["bash", "-ec", f"{beside}\n{VSYNC} simulator fault list\n{VSYNC} verify --ispb 99990001"],
            cwd=tmp_path,
            env=_kept(),
            capture_output=True,
            text=True,
            timeout=120,
        )
        started = psutil.Process(server.pid).children(recursive=True)
        server.send_signal(how)
        ended = server.wait(timeout=60)
        _, alive = psutil.wait_procs(started, timeout=30)
    finally:
        server.kill()
        server.wait()

    assert "createSyncVerification: STATUS, 1 times after 0 good answers" in faulty.stdout
    assert (faulty.returncode, "docs/messages.md#dict-forbidden" in faulty.stderr) == (2, True), faulty.stderr
    assert len(started) > 3
    assert alive == []
    assert ended == 0
    assert "Aborted" not in err.read_text()


def _answers(url: str) -> bool:
    for _ in range(120):
        try:
            return httpx.get(url).is_success
        except httpx.HTTPError:
            time.sleep(1)
    return False
