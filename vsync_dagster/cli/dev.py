"""`vsync dev`: everything on this machine, with Dagster's UI and the console, until Ctrl-C."""

import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import IO

import click
import httpx
import uvicorn

from vsync_dagster.cli.options import environment
from vsync_dagster.local_db.database import Database
from vsync_dagster.reconcile.errors import PermanentError

_HOST = "127.0.0.1"
_PORT = click.IntRange(1, 65_535)
_POLL_S = 0.2


@click.command()
@click.option("--port", type=_PORT, default=3000, show_default=True, help="The Dagster UI's port.")
@click.option("--console-port", type=_PORT, default=3010, show_default=True, help="The console's port.")
def dev(port: int, console_port: int) -> int:
    """Leave everything running, with the Dagster UI and the console; Ctrl-C ends it all.

    Prints the variables with which every other command works beside it, in another terminal: paste them there.
    """
    environment().check()
    _require_free(port, "--port (make dev PORT=3001)")
    _require_free(console_port, "--console-port (make dev CONSOLE_PORT=3011)")
    # Whoever ends it has not made a mistake: no "Aborted!", and no error of make's.
    with suppress(KeyboardInterrupt):
        return _run(port, console_port)
    return 0


def _run(port: int, console_port: int) -> int:
    from vsync_dagster.cli.stack import PARTICIPANTS, running_stack
    from vsync_dagster.launch import dagster_instance
    from vsync_dagster.partitions import open_partitions_for

    given = bool(os.environ.get("VSYNC_DATABASE_URL"))
    with ExitStack() as stack:
        database = stack.enter_context(running_stack())
        with dagster_instance(environment()) as instance:
            open_partitions_for(instance, PARTICIPANTS)
        stack.enter_context(_console(database, console_port, with_logins=not given))
        _print_variables()
        return _serve_dagster(port)


def _require_free(port: int, option: str) -> None:
    """See that a port can be listened on, before anything is started.

    Raises:
        PermanentError: something else listens there.
    """
    try:
        socket.create_server((_HOST, port)).close()
    except OSError:
        raise PermanentError(f"port {port} is in use: choose another with {option}", code="port-in-use") from None


def _print_variables() -> None:
    """Print the variables of all that runs here, for another terminal."""
    os.environ.setdefault("VSYNC_HOME", str(environment().home))
    click.echo("# in another terminal:")
    for name, value in sorted(os.environ.items()):
        if name.startswith("VSYNC_"):
            click.echo(f"export {name}={shlex.quote(value)}")


@contextmanager
def _console(database: Database, port: int, *, with_logins: bool) -> Iterator[None]:
    """Serve the console from a thread; with the demonstration's logins, where the database is its own."""
    from vsync_dagster.cli.demo_logins import LOGINS, demo_logins
    from vsync_dagster.console.app import create_app
    from vsync_dagster.console.server import config

    server = uvicorn.Server(config(create_app(database), _HOST, port))
    thread = threading.Thread(target=server.run, name="console", daemon=True)
    with ExitStack() as stack:
        passwords = stack.enter_context(demo_logins(database)) if with_logins else {}
        thread.start()
        click.echo(f"console: http://{_HOST}:{port}/", err=True)
        for name, password in passwords.items():
            click.echo(f"  {name}  {password}  {LOGINS[name]}", err=True)
        try:
            yield
        finally:
            server.should_exit = True
            thread.join()


def _serve_dagster(port: int) -> int:
    command = [sys.executable, "-m", "dagster", "dev", "-m", "vsync_dagster.definitions"]
    # Standard output holds the variables alone, so that a shell can read them; Dagster logs to both.
    server = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
        [*command, "--host", _HOST, "--port", str(port)],
        env=os.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    copier = threading.Thread(target=_copy, args=[server.stdout], name="dagster-log", daemon=True)
    copier.start()
    teller = threading.Thread(target=_tell_when_it_answers, args=[server, port], name="ui-answers", daemon=True)
    teller.start()
    try:
        return _until_told_to_stop(server)
    finally:
        copier.join(timeout=5)


def _copy(lines: IO[bytes]) -> None:
    """Copy what Dagster prints, but for the word with which it answers Ctrl-C: nothing was aborted."""
    for line in lines:
        if line.strip() != b"Aborted!":
            sys.stderr.buffer.write(line)
            sys.stderr.buffer.flush()


def _tell_when_it_answers(server: "subprocess.Popen[bytes]", port: int) -> None:
    while server.poll() is None:
        with suppress(httpx.HTTPError):
            if httpx.get(f"http://{_HOST}:{port}/server_info").is_success:
                click.echo(f"\nDagster UI: http://{_HOST}:{port}  (Ctrl-C ends everything)\n", err=True)
                return
        time.sleep(_POLL_S)


def _until_told_to_stop(server: "subprocess.Popen[bytes]") -> int:
    """Wait for a process, or for Ctrl-C or SIGTERM; either way it has ended when this returns."""
    for told in (signal.SIGINT, signal.SIGTERM):
        signal.signal(told, signal.default_int_handler)
    try:
        return server.wait()
    except KeyboardInterrupt:
        # Ctrl-C has reached the whole group, and Dagster is ending itself; a SIGTERM has reached only us.
        with suppress(subprocess.TimeoutExpired):
            server.wait(timeout=5)
            return 0
        server.send_signal(signal.SIGINT)
        server.wait()
        return 0
