"""`vsync metrics`: the figures, for Prometheus."""

import signal
import threading

import click

from vsync_dagster.cli.options import environment

DEFAULT_PORT = 9464


@click.command()
@click.option("--port", type=click.IntRange(0, 65_535), default=DEFAULT_PORT, show_default=True, help="0 takes any.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
def metrics(port: int, host: str) -> None:
    """Serve Prometheus metrics at /metrics until Ctrl-C or SIGTERM, read from the reports at each scrape."""
    from prometheus_client import CollectorRegistry, start_http_server

    from vsync_dagster.metrics import VsyncCollector

    _ = environment().database_url, environment().clock_limits  # said now, and not at each scrape
    registry = CollectorRegistry()
    registry.register(VsyncCollector(environment()))
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise click.UsageError(f"cannot listen on {host}:{port}: {error.strerror}") from None
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    click.echo(f"metrics at http://{host}:{server.server_port}/metrics")
    # The system may hand a signal to the server's thread, which does not wake one that waits without end.
    while not stop.wait(1):
        pass
    server.shutdown()
    thread.join()
