"""`vsync alerts`: what stands, and whether those who should hear of it do."""

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import click

from vsync_dagster.cli.options import TimeType, database, environment, json_option
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


_alert = click.argument("fingerprint", metavar="ALERT")
_reason = click.option("--reason", required=True, help="Why; kept for years, so nothing personal in it.")


@click.group()
def alerts() -> None:
    """Alerts: what stands, and who is notified (VSYNC_ALERT_URLS, VSYNC_ALERTMANAGER_URL).

    Who resolves or silences is the login of VSYNC_DATABASE_URL; it needs the role vsync_operator.
    """


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


@alerts.command("list")
@json_option
def list_alerts(as_json: bool) -> None:
    """List the alerts that stand, the most severe first, each with the name by which it is resolved or silenced."""
    with database().connect() as connection:
        standing = alert_queue.standing(connection)
    for raised in standing:
        click.echo(json.dumps(asdict(raised), default=str) if as_json else _line(raised))
    if not standing and not as_json:
        click.echo("no alert stands")


@alerts.command()
@_alert
@_reason
def resolve(fingerprint: str, reason: str) -> None:
    """Resolve an alert by hand. What still is the case is raised again when it is next evaluated."""
    with database().connect() as connection:
        alert_queue.resolve_by_hand(connection, fingerprint, reason)
    click.echo(f"{fingerprint} is resolved")


@alerts.command()
@_alert
@_reason
@click.option("--hours", type=click.IntRange(1, 720), help="For so many hours from now.")
@click.option("--until", type=TimeType(), help="Until this time; without a zone it is UTC.")
def silence(fingerprint: str, reason: str, hours: int | None, until: datetime | None) -> None:
    """Have nobody notified of an alert until a time, 30 days away at most. The latest silence counts."""
    if (hours is None) == (until is None):
        raise click.UsageError("a silence has an end: give --hours or --until, one of them")
    ends_at = until or datetime.now(UTC) + timedelta(hours=hours or 0)
    with database().connect() as connection:
        alert_queue.silence(connection, fingerprint, reason, ends_at)
    click.echo(f"{fingerprint} is silenced until {ends_at.astimezone(UTC):%Y-%m-%d %H:%MZ}")


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
        click.echo(_line(raised))
    click.echo("" if standing else "no alert stands")
    for target in targets:
        last = f"last took one {target.last_told_at:%Y-%m-%d %H:%MZ}" if target.last_told_at else "never took one"
        failing = f", failed {target.failures} times: {target.last_error}" if target.failures else ""
        click.echo(f"{target.name}: {target.waiting} waiting, {last}{failing}")


def _line(raised: RaisedAlert) -> str:
    until = f", silenced until {raised.silenced_until:%Y-%m-%d %H:%MZ}" if raised.silenced_until else ""
    return (
        f"{raised.raised_at:%Y-%m-%d %H:%MZ}  {raised.alert.severity:<8}  {raised.alert.fingerprint}  "
        f"{raised.alert.title}{until}"
    )
