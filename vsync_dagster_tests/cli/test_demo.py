"""`vsync demo` ends by naming a command, and that command lets people in on the demonstration's data."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

SECONDS = 300


@pytest.mark.long
def test_the_demo_names_the_command_that_shows_its_data(tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("VSYNC_", "DAGSTER_"))}
    variables = {**kept, "VSYNC_HOME": str(tmp_path / "home"), "PYTHONUNBUFFERED": "1"}
    vsync = str(Path(sys.executable).with_name("vsync"))
    demo = subprocess.run(
        [vsync, "demo"], cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert demo.returncode == 0, demo.stderr
    told = re.search(r"What is under review waits for people: (.+)$", demo.stdout.strip())
    assert told, demo.stdout
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    log = tmp_path / "log"
    with log.open("wb") as output:
        console = subprocess.Popen(
            [*told[1].split(), "--port", str(port)], cwd=tmp_path, env=variables, stdout=output, stderr=output
        )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(log, address)
        logins = re.findall(r"^  (demo_\w+)  (\S+)  vsync_compliance$", log.read_text(), re.MULTILINE)
        assert len(logins) == 2, "two who decide"
        for name, password in logins:
            queue = log_in(address, name, password)
            assert re.search(r"<dt>open items</dt><dd>[1-9]\d*</dd>", queue), "there is something to decide"
    finally:
        console.send_signal(signal.SIGTERM)
        console.wait(timeout=60)


def wait_for(log: Path, address: str) -> None:
    deadline = time.monotonic() + SECONDS
    while f"console: {address}/" not in log.read_text():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)


def log_in(address: str, name: str, password: str) -> str:
    """Log in, and return the first page."""
    with httpx.Client(base_url=address, transport=httpx.HTTPTransport(retries=5)) as client:
        token = re.search(r'name="csrf" value="([^"]+)"', client.get("/login").text)
        assert token
        fields = {"csrf": token[1], "name": name, "password": password}
        answer = client.post("/login", data=fields, follow_redirects=True)
        assert answer.status_code == 200
        return answer.text
