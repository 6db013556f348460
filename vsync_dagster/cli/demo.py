"""`vsync demo`: the whole thing on this machine, with nothing to set up."""

import os
import sys

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
