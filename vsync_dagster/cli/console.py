"""`vsync console`: the web application for people."""

from pathlib import Path

import click

from vsync_dagster.cli.options import database

_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65_535), default=3010, show_default=True)
@click.option("--certificate", type=_file, help="PEM, to serve TLS; needed for any host but this machine itself.")
@click.option("--key", type=_file, help="PEM, the certificate's key.")
def console(host: str, port: int, certificate: Path | None, key: Path | None) -> None:
    """Serve the review queue and the reports to people, until Ctrl-C.

    Each logs in with their own PostgreSQL role (vsync_compliance or vsync_auditor) at the server and database of
    VSYNC_DATABASE_URL; that variable's own login is not used.
    """
    if (certificate is None) != (key is None):
        raise click.UsageError("--certificate and --key go together")
    # Here, because the other commands do without a web server.
    import uvicorn

    from vsync_dagster.console.app import create_app
    from vsync_dagster.console.server import config

    server = uvicorn.Server(config(create_app(database()), host, port, certificate, key))
    click.echo(f"console: http{'s' if certificate else ''}://{host}:{port}/  (Ctrl-C ends it)", err=True)
    server.run()
