"""`vsync demo` and `vsync dev`: the whole thing on this machine, with nothing to set up."""

import os
import signal
import subprocess
import sys
from contextlib import suppress

import click

from vsync_dagster.cli.options import environment, today


@click.command()
def demo() -> int:
    """Sync two made-up participants with a simulated DICT, and show what came of it.

    Starts a PostgreSQL, a Pulsar broker and a DICT simulator, and stops them at the end; their data stay in VSYNC_HOME.
    The first run finds seeded drift and repairs it; a second one finds nothing new.
    """
    environment().check()
    from vsync_dagster.cli.output import print_report
    from vsync_dagster.cli.stack import PARTICIPANTS, running_stack
    from vsync_dagster.launch import Launcher
    from vsync_dagster.partitions import SyncPartition
    from vsync_dagster.reconcile.status import Status, SyncType
    from vsync_dagster.resources import SyncSettings

    # Where a database is given, so are its logins.
    console = "console" if os.environ.get("VSYNC_DATABASE_URL") else "console --demo"
    with running_stack():
        launcher = Launcher(environment())
        settings = SyncSettings(sync_type=SyncType.FULL.value)
        syncs = [launcher.sync(SyncPartition(today(), ispb), settings) for ispb in PARTICIPANTS]
        for report in syncs:
            print_report(report)
    click.echo(f"\nWhat is under review waits for people: {sys.argv[0]} {console}")
    return max(Status(report.status).exit_code for report in syncs)


@click.command()
@click.option("--port", type=click.IntRange(1, 65_535), default=3000, show_default=True, help="The Dagster UI's port.")
def dev(port: int) -> int:
    """Leave everything running, with the Dagster UI on it; Ctrl-C ends it all."""
    environment().check()
    from vsync_dagster.cli.stack import PARTICIPANTS, running_stack
    from vsync_dagster.launch import dagster_instance
    from vsync_dagster.partitions import open_partitions_for

    with running_stack():
        with dagster_instance(environment()) as instance:
            open_partitions_for(instance, PARTICIPANTS)
        click.echo(f"\nDagster UI: http://127.0.0.1:{port}  (Ctrl-C ends everything)\n", err=True)
        command = [sys.executable, "-m", "dagster", "dev", "-m", "vsync_dagster.definitions"]
        server = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
            [*command, "--host", "127.0.0.1", "--port", str(port)], env=os.environ
        )
        return _until_told_to_stop(server)


def _until_told_to_stop(server: subprocess.Popen[bytes]) -> int:
    """Wait for a process, or for Ctrl-C or SIGTERM; either way it has ended when this returns."""
    for told in (signal.SIGINT, signal.SIGTERM):
        signal.signal(told, signal.default_int_handler)
    try:
        return server.wait()
    except KeyboardInterrupt:
        # Ctrl-C has reached the whole group, and Dagster is ending itself; a SIGTERM has reached only us.
        with suppress(subprocess.TimeoutExpired):
            return server.wait(timeout=5)
        server.send_signal(signal.SIGINT)
        return server.wait()
