"""Where the console may listen."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from vsync_dagster.cli.demo_logins import LOGINS, demo_logins
from vsync_dagster.console.app import create_app
from vsync_dagster.console.server import config
from vsync_dagster.local_db import participants
from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.errors import DatabaseLoginError
from vsync_dagster.reconcile.errors import RefusedError
from vsync_dagster_tests.cli.conftest import Command
from vsync_dagster_tests.console.parts import Person, text_of
from vsync_dagster_tests.local_db.parts import ISPB


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "console.example", "127.evil.example"])  # noqa: S104
def test_passwords_cross_no_network_in_the_clear(host: str) -> None:
    with pytest.raises(RefusedError, match="passwords need TLS"):
        config(Starlette(), host, 3010)
    assert config(Starlette(), host, 3010, Path("cert.pem"), Path("key.pem")).is_ssl


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_this_machine_may_talk_to_itself(host: str) -> None:
    assert not config(Starlette(), host, 3010).is_ssl


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    vsync = Command({"VSYNC_DATABASE_URL": "postgresql://nobody@127.0.0.1/none"}, tmp_path)
    refused = vsync("console", "--host", "0.0.0.0")  # noqa: S104
    assert (refused.status, refused.err.count("\n"), "need TLS" in refused.err) == (2, 1, True)
    (tmp_path / "cert.pem").touch()
    assert vsync("console", "--certificate", "cert.pem").status == 64
    assert vsync("console", VSYNC_DATABASE_URL=None).status == 64


def test_the_demonstrations_logins_are_gone_with_it(database: Database) -> None:
    with pytest.raises(RefusedError, match="run `vsync demo` first"), demo_logins(database):
        pass
    with database.connect() as conn:
        participants.add(conn, ISPB)
    app = create_app(database)
    with demo_logins(database) as passwords:
        assert passwords.keys() == LOGINS.keys()
        people = [Person(app, name, password) for name, password in passwords.items()]
        assert [person.log_in().status_code for person in people] == [303] * 3
        assert "Decide about" not in text_of(people[2].get("/"))
    for person in people:
        with pytest.raises(DatabaseLoginError), database.as_person(person.name, person.password).connect():
            pass


def test_the_demonstration_is_the_embedded_one(tmp_path: Path) -> None:
    vsync = Command({"VSYNC_HOME": str(tmp_path)}, tmp_path)
    elsewhere = vsync("console", "--demo", VSYNC_DATABASE_URL="postgresql://nobody@127.0.0.1/none")
    assert (elsewhere.status, "unset VSYNC_DATABASE_URL" in elsewhere.err) == (2, True)
    empty = vsync("console", "--demo")
    assert (empty.status, "run `vsync demo` first" in empty.err) == (2, True)


def test_it_serves_until_it_is_told_to_end(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
    variables = {"VSYNC_DATABASE_URL": "postgresql://nobody@127.0.0.1/none", "PATH": "/usr/bin"}
    command = [str(Path(sys.executable).with_name("vsync")), "console", "--port", port]
    with subprocess.Popen(command, cwd=tmp_path, env=variables, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        address = f"http://127.0.0.1:{port}/"
        assert server.stderr.readline() == f"console: {address}  (Ctrl-C ends it)\n"
        asked = httpx.HTTPTransport(retries=10)
        with httpx.Client(transport=asked, timeout=30) as client:
            assert client.get(f"{address}login").status_code == 200
        server.send_signal(signal.SIGTERM)
        assert server.wait() == 0
        assert server.stderr.read() == ""
