"""A PostgreSQL that a test may kill, and start again on the same port."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

from vsync_dagster.embedded.postgres_place import Place, find_place
from vsync_dagster.embedded.process import run_as

_PATIENCE = 30.0


@dataclass
class OwnServer:
    """A server whose data are in `data`; `settings` are those of postgresql.conf."""

    place: Place
    data: Path
    port: int
    settings: dict[str, str]
    _process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    @property
    def url(self) -> str:
        """The URL of its database, as its superuser."""
        return f"postgresql://vsync@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start it and wait until it lets somebody in; after a kill it recovers first."""
        options = [f"-c{name}={value}" for name, value in self.settings.items()]
        command = [self.place.programs / "postgres", "-D", self.data, "-p", str(self.port), *options]
        deadline = time.monotonic() + _PATIENCE
        while not self._accepts():
            assert time.monotonic() < deadline, "PostgreSQL does not start"
            if self._process is None or self._process.poll() is not None:
                # What is left of the killed one holds the shared memory for a moment.
                self._process = subprocess.Popen(  # type: ignore[call-overload]
                    command, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **run_as(self.place.account)
                )
            time.sleep(0.05)

    def kill(self) -> None:
        """End it with SIGKILL, as the kernel does when memory runs out."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it in an orderly way."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait()

    def run(self, program: str, *arguments: object) -> None:
        """Run one of PostgreSQL's programs as the server's user."""
        subprocess.run(  # type: ignore[call-overload]
            [self.place.programs / program, *map(str, arguments)],
            cwd="/",
            check=True,
            capture_output=True,
            **run_as(self.place.account),
        )

    def _accepts(self) -> bool:
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(self.url, connect_timeout=2).close()
            return True
        return False


@contextlib.contextmanager
def own_server(**settings: str) -> Iterator[OwnServer]:
    """Make a server of one's own, and remove it afterwards."""
    with tempfile.TemporaryDirectory(prefix="vsync-test-") as folder:
        place = find_place(Path(folder))
        data = place.new_folder("killable") / "data"
        given = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off", **settings}
        server = OwnServer(place, data, _free_port(), given)
        try:
            server.run("initdb", "-D", data, "-U", "vsync", "--auth", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
            server.start()
            yield server
        finally:
            server.stop()
            place.remove()
            shutil.rmtree(data.parent, ignore_errors=True)


@contextlib.contextmanager
def small_disk(server: OwnServer, megabytes: int) -> Iterator[Path]:
    """Mount a disk of so many megabytes that belongs to the server's user."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    with tempfile.TemporaryDirectory(prefix="vsync-disk-") as folder:
        Path(folder).chmod(0o755)
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", folder], capture_output=True, check=False
        )
        if mounted.returncode:
            pytest.skip("this machine does not let root mount a disk")
        try:
            place = Path(folder) / "tablespace"
            place.mkdir()
            server.place.give(place)
            yield place
        finally:
            server.stop()
            subprocess.run(["umount", folder], check=True)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
