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


@pytest.mark.long
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_dev_serves_the_ui_and_ends_with_all_that_it_started(tmp_path: Path, how: signal.Signals) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("VSYNC_", "DAGSTER_"))}
    command = [str(Path(sys.executable).with_name("vsync")), "dev", "--port", str(port)]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(
            command, cwd=tmp_path, env={**kept, "VSYNC_HOME": str(tmp_path / "home")}, stdout=log, stderr=log
        )
    try:
        assert _answers(f"http://127.0.0.1:{port}/server_info")
        started = psutil.Process(server.pid).children(recursive=True)
        server.send_signal(how)
        server.wait(timeout=60)
        _, alive = psutil.wait_procs(started, timeout=30)
    finally:
        server.kill()
        server.wait()

    assert len(started) > 3
    assert alive == []


def _answers(url: str) -> bool:
    for _ in range(120):
        try:
            return httpx.get(url).is_success
        except httpx.HTTPError:
            time.sleep(1)
    return False
