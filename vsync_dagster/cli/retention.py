"""`vsync retention`: deleting what need be kept no longer."""

import json
from datetime import UTC, datetime

import click

from vsync_dagster.cli.options import environment, json_option


@click.group()
def retention() -> None:
    """What is deleted because it need be kept no longer.

    Reports and the steps of closed reviews are kept for seven years; snapshots, published events, resolved alerts and
    Dagster's runs as long as is said. What is undecided, unpublished or unresolved is never deleted.
    VSYNC_RETENTION_DATABASE_URL names a login with the role vsync_retention.
    """


@retention.command()
@click.option("--dry-run", is_flag=True, help="Only tell what would be deleted.")
@click.option("--snapshot-days", type=click.IntRange(1), default=30, show_default=True)
@click.option("--event-days", type=click.IntRange(1), default=90, show_default=True, help="After publication.")
@click.option("--alert-days", type=click.IntRange(1), default=365, show_default=True, help="After they were resolved.")
@click.option("--run-days", type=click.IntRange(1), default=365, show_default=True, help="Dagster's runs.")
@json_option
def run(dry_run: bool, snapshot_days: int, event_days: int, alert_days: int, run_days: int, as_json: bool) -> None:
    """Delete what is due, in small batches, and say what that was."""
    from vsync_dagster.launch import dagster_instance
    from vsync_dagster.local_db.database import Database
    from vsync_dagster.retention import Retention, RetentionSettings
    from vsync_dagster.store import SnapshotStore

    variables = environment()
    settings = RetentionSettings(
        snapshot_days=snapshot_days, event_days=event_days, alert_days=alert_days, run_days=run_days
    )
    database = Database(variables.retention_database_url, variable=variables.retention_database_variable)
    store = SnapshotStore(variables.storage_url)
    with dagster_instance(variables) as instance:
        clean_up = Retention(settings, database, store, instance, datetime.now(UTC))
        told = clean_up.due() if dry_run else dict(clean_up.delete())
    if as_json:
        click.echo(json.dumps({"dry_run": dry_run, **told}))
        return
    for what, count in told.items():
        click.echo(f"{what}: {count:,} {'would be deleted' if dry_run else 'deleted'}")
