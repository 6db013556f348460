"""`vsync console`: the web application for people."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from vsync_dagster.cli.options import database, environment
from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.migrate import migrate
from vsync_dagster.reconcile.errors import RefusedError

_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65_535), default=3010, show_default=True)
@click.option("--certificate", type=_file, help="PEM, to serve TLS; needed for any host but this machine itself.")
@click.option("--key", type=_file, help="PEM, the certificate's key.")
@click.option("--demo", is_flag=True, help="Show the data of `vsync demo`, with logins that are gone afterwards.")
def console(host: str, port: int, certificate: Path | None, key: Path | None, demo: bool) -> None:
    """Serve the review queue and the reports to people, until Ctrl-C.

    Each logs in with their own PostgreSQL role (vsync_compliance or vsync_auditor) at the server and database of
    VSYNC_DATABASE_URL; that variable's own login is not used.
    """
    if (certificate is None) != (key is None):
        raise click.UsageError("--certificate and --key go together")
    if demo:
        with _demonstration() as shown:
            _serve(shown, host, port, certificate, key)
    else:
        _serve(database(), host, port, certificate, key)


def _serve(shown: Database, host: str, port: int, certificate: Path | None, key: Path | None) -> None:
    # Here, because the other commands do without a web server.
    import uvicorn

    from vsync_dagster.console.app import create_app
    from vsync_dagster.console.server import config

    server = uvicorn.Server(config(create_app(shown), host, port, certificate, key))
    # The server ends itself, and then raises the signal again: what runs beside it is still to be ended.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        click.echo(f"console: http{'s' if certificate else ''}://{host}:{port}/  (Ctrl-C ends it)", err=True)
        server.run()


@contextmanager
def _demonstration() -> Iterator[Database]:
    """Run the demonstration's PostgreSQL, and tell the logins that there are meanwhile.

    Raises:
        RefusedError: a database is given; nobody gets a login there by the way.
    """
    from vsync_dagster.cli.demo_logins import LOGINS, demo_logins
    from vsync_dagster.embedded.postgres import embedded_postgres

    if os.environ.get("VSYNC_DATABASE_URL"):
        raise RefusedError(
            "--demo makes logins in the embedded database only: unset VSYNC_DATABASE_URL", code="demonstration"
        )
    environment().home.mkdir(parents=True, exist_ok=True)
    with embedded_postgres(environment().home) as url:
        shown = Database(url)
        migrate(shown)
        with demo_logins(shown) as passwords:
            click.echo("Logins, until this ends (the first two decide, the third looks):")
            for name, password in passwords.items():
                click.echo(f"  {name}  {password}  {LOGINS[name]}")
            yield shown
