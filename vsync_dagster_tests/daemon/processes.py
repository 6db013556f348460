"""Dagster's own processes, as `deploy/` runs them: a code location, the daemon and the webserver, each by itself."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import yaml

from vsync_dagster.embedded.process import LOOPBACK, free_port
from vsync_dagster.failure import ORDER
from vsync_dagster.partitions import SyncPartition

ROOT = Path(__file__).parents[2]
PATIENCE_S = 120.0
END_S = 30.0
# No schedule runs by itself in a test, whatever the time of day.
NEVER = {"VSYNC_DAILY_CRON": "0 2 29 2 *", "VSYNC_WEEKLY_CRON": "0 4 29 2 *"}

_LAUNCH = """
launched_{number}: launchPartitionBackfill(backfillParams: $backfill_{number}) {{
  ... on LaunchBackfillSuccess {{ backfillId }}
  ... on Error {{ message }}
}}
"""


@dataclass
class Machine:
    """A machine with a disk of its own: a DAGSTER_HOME with this repository's `dagster.yaml`, and a VSYNC_HOME.

    Attributes:
        variables: what its processes get besides the test's own environment.
        settings: what stands otherwise in its `dagster.yaml`, by section.
    """

    disk: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make the disk."""
        self.disk.mkdir()
        shipped = yaml.safe_load((ROOT / "dagster.yaml").read_text())
        (self.disk / "dagster.yaml").write_text(yaml.safe_dump({**shipped, **self.settings}))

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """The Dagster instance of this machine, for the test to look at."""
        with dg.DagsterInstance.from_config(str(self.disk)) as instance:
            yield instance

    @contextmanager
    def code_location(self, port: int | None = None) -> Iterator[int]:
        """Serve the code location, at a port of its own unless one is named; yield the port."""
        port = port or free_port()
        module = ["--module-name", "vsync_dagster.definitions", "--host", LOOPBACK, "--port", str(port)]
        # As `dagster code-server start` runs it: a run's process then need not import Dagster's command line first.
        with self._running("code-location", ["python", "-m", "dagster", "api", "grpc", *module]) as log:
            wait_until(lambda: _listens(port), log)
            yield port

    @contextmanager
    def daemon(self, workspace: Path) -> Iterator[Path]:
        """Run the daemon with the code locations of a workspace; yield its log."""
        options = ["--workspace", str(workspace), "--log-level", "info", "--log-format", "json"]
        with self._running("daemon", ["dagster-daemon", "run", *options]) as log:
            yield log

    @contextmanager
    def webserver(self, workspace: Path) -> Iterator[str]:
        """Serve Dagster's UI; yield its address."""
        port = free_port()
        options = ["--host", LOOPBACK, "--port", str(port), "--workspace", str(workspace)]
        with self._running("webserver", ["dagster-webserver", *options]) as log:
            wait_until(lambda: _listens(port), log)
            yield f"http://{LOOPBACK}:{port}"

    def workspace(self, *ports: int) -> Path:
        """Write the workspace of code locations that are served at ports; the first is named as in `deploy/`."""
        names = ["vsync_dagster", *(f"vsync_dagster_{number}" for number in range(2, len(ports) + 1))]
        servers = [
            {"grpc_server": {"host": LOOPBACK, "port": port, "location_name": name}}
            for name, port in zip(names, ports, strict=True)
        ]
        path = self.disk / "workspace.yaml"
        path.write_text(yaml.safe_dump({"load_from": servers}))
        return path

    def ask(self, workspace: Path, query: str, **variables: object) -> dict[str, Any]:
        """Ask what the UI asks, in GraphQL, through Dagster's own command; return the answer's data."""
        options = ["--workspace", str(workspace), "--text", query, "--variables", json.dumps(variables)]
        done = subprocess.run(
            _command(["dagster-graphql", *options]),
            env=self._environment(),
            cwd=self.disk,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-3_000:]
        data: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])["data"]
        return data

    def backfill(self, workspace: Path, *chosen: Sequence[SyncPartition]) -> list[str]:
        """Start backfills of all assets and their checks, with the requests that the UI sends; return their ids."""
        variables = {
            f"backfill_{number}": {
                "assetSelection": [{"path": [name]} for name in ORDER],
                "partitionNames": [str(partition.key) for partition in partitions],
            }
            for number, partitions in enumerate(chosen)
        }
        declared = ", ".join(f"${name}: LaunchBackfillParams!" for name in variables)
        launches = "".join(_LAUNCH.format(number=number) for number in range(len(chosen)))
        answer = self.ask(workspace, f"mutation ({declared}) {{ {launches} }}", **variables)
        return [answer[f"launched_{number}"]["backfillId"] for number in range(len(chosen))]

    def shell(self, command: str) -> str:
        """Have bash run a command line where this machine's workspace lies; return what it prints."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**self._environment(), "PATH": path}
        done = subprocess.run(["bash", "-c", command], env=environment, cwd=self.disk, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3_000:]
        return done.stdout

    def _environment(self) -> dict[str, str]:
        own = {"DAGSTER_HOME": str(self.disk), "VSYNC_HOME": str(self.disk / "home")}
        return {**os.environ, **NEVER, **own, **self.variables}

    @contextmanager
    def _running(self, name: str, command: list[str]) -> Iterator[Path]:
        log = self.disk / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                _command(command), cwd=self.disk, env=self._environment(), stdout=output, stderr=output
            )
        try:
            yield log
        finally:
            process.terminate()
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def lose_code_location(port: int) -> None:
    """Kill the code location at a port, and the runs that it has started, as when their machine goes."""
    [server] = [each for each in psutil.Process().children() if {"grpc", str(port)} <= set(each.cmdline())]
    for process in [server, *server.children(recursive=True)]:
        process.kill()


def wait_until(holds: Callable[[], bool], log: Path, seconds: float = PATIENCE_S) -> None:
    """Wait until something holds; where it never does, the failure quotes the end of a process's log."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, log.read_text()[-5_000:]
        time.sleep(0.2)


def _command(command: list[str]) -> list[str]:
    return [str(Path(sys.executable).with_name(command[0])), *command[1:]]


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0
