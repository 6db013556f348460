"""`vsync alerts`: what stands, and whether those who should hear of it do."""

import json
from dataclasses import asdict
from datetime import UTC, datetime

import click

from vsync_dagster.cli.options import database, environment, json_option
from vsync_dagster.local_db import alert_targets
from vsync_dagster.local_db import alerts as alert_queue
from vsync_dagster.local_db.alert_targets import Message
from vsync_dagster.local_db.alerts import Alert, RaisedAlert, Severity
from vsync_dagster.reconcile.errors import EnvironmentVariableError, PermanentError, TransientError

_TEST = Alert(
    fingerprint="VSyncTest",
    name="VSyncTest",
    severity=Severity.INFO,
    title="VSYNC tests its alerts",
    text="Somebody has run `vsync alerts test`. There is nothing to do.",
)


@click.group()
def alerts() -> None:
    """Alerts: what stands, and whom it is told (VSYNC_ALERT_URLS, VSYNC_ALERTMANAGER_URL)."""


@alerts.command()
def test() -> None:
    """Send each target a message, whatever its minimum severity, and say which one did not take it."""
    # Here, because apprise takes its time to import.
    from vsync_dagster.alerts.targets import read_targets

    targets = read_targets(environment())
    if not targets:
        raise EnvironmentVariableError("VSYNC_ALERT_URLS is not set, nor is VSYNC_ALERTMANAGER_URL: nobody is told")
    now = datetime.now(UTC)
    message = Message(RaisedAlert(0, 1, now, now, _TEST), is_recovery=False)
    failed = 0
    for target in targets:
        try:
            target.tell([message])
            click.echo(f"{target.name}: taken (from {target.minimum} on)")
        except TransientError as error:
            click.echo(f"{target.name}: {error}")
            failed += 1
    if failed:
        raise PermanentError(
            f"{failed} of {len(targets)} targets took no message: check their URLs and the network", code="alert-target"
        )


@alerts.command()
@json_option
def status(as_json: bool) -> None:
    """List the alerts that stand, and how each target does."""
    with database().connect() as connection:
        standing = alert_queue.standing(connection)
        targets = alert_targets.states(connection, environment().alert_repeat)
    if as_json:
        told = {"standing": [asdict(raised) for raised in standing], "targets": [asdict(target) for target in targets]}
        click.echo(json.dumps(told, default=str))
        return
    for raised in standing:
        click.echo(f"{raised.raised_at:%Y-%m-%d %H:%MZ}  {raised.alert.severity:<8}  {raised.alert.title}")
    click.echo("" if standing else "no alert stands")
    for target in targets:
        last = f"last took one {target.last_told_at:%Y-%m-%d %H:%MZ}" if target.last_told_at else "never took one"
        failing = f", failed {target.failures} times: {target.last_error}" if target.failures else ""
        click.echo(f"{target.name}: {target.waiting} waiting, {last}{failing}")
