"""`vsync sync` and `vsync verify`."""

import getpass
import json
import logging
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import date, datetime

import click

from vsync_dagster.cli.options import ISPB, DayType, TimeType, database, environment, json_option, today
from vsync_dagster.cli.output import print_report, report_json
from vsync_dagster.environment import Environment
from vsync_dagster.local_db import participants
from vsync_dagster.local_db.reports import Report
from vsync_dagster.reconcile.errors import VsyncError
from vsync_dagster.reconcile.status import Status, SyncType
from vsync_dagster.sync.connection import connect_dict
from vsync_dagster.sync.local_sets import read_whole
from vsync_dagster.sync.verdicts import record_verdicts
from vsync_dagster.sync.verification import LocalSet, Verdict
from vsync_dagster.sync.verification import verify as verify_sets

LAG_SECONDS = 5.0

_log = logging.getLogger(__name__)


@click.command()
@click.option("--ispb", type=ISPB, help="The participant; without it, every enabled one, one after the other.")
@click.option("--day", type=DayType(), help="The partition's day; default today in São Paulo.")
@click.option(
    "--sync-type",
    type=click.Choice([*SyncType]),
    default=SyncType.INCREMENTAL.value,
    show_default=True,
    help="FULL compares with DICT's CID file and recomputes every CID.",
)
@click.option("--since", type=TimeType(), help="INCREMENTAL: read DICT's event log from this time on.")
@click.option("--dry-run", is_flag=True, help="Change nothing; report what would be done.")
@click.option(
    "--allow-mass-change",
    is_flag=True,
    help="Let this one sync change more keys than a sync may unasked (5 %, at least 1,000); needs --ispb, --reason.",
)
@click.option("--reason", help="Why the mass change is right: kept for audit, so without keys or names.")
@json_option
def sync(
    ispb: str | None,
    day: date | None,
    sync_type: str,
    since: datetime | None,
    dry_run: bool,
    allow_mass_change: bool,
    reason: str | None,
    as_json: bool,
) -> int:
    """Sync participants with DICT: compare, repair, prove, report.

    \b
    Exit code: 0 COMPLETED, 1 PARTIAL (something was left), 2 FAILED, 64 bad usage; of several syncs, the worst.
    """
    if since is not None and sync_type == SyncType.FULL:
        raise click.UsageError("--since goes with an INCREMENTAL sync; a FULL one compares everything")
    if allow_mass_change and not (ispb and reason and reason.strip()):
        raise click.UsageError("--allow-mass-change is for one participant and needs a reason: add --ispb and --reason")
    variables = environment()
    check_configured(variables)
    # Here, because Dagster takes seconds to import.
    from vsync_dagster.launch import Launcher
    from vsync_dagster.partitions import SyncPartition
    from vsync_dagster.resources import SyncSettings

    settings = SyncSettings(
        sync_type=sync_type,
        since=since.isoformat() if since else None,
        dry_run=dry_run,
        allow_mass_change=allow_mass_change,
        allowed_by=who() if allow_mass_change else None,
        reason=reason,
        publish=False,
    )
    worst = 0
    for each in [ispb] if ispb else _enabled():
        report = Launcher(variables).sync(SyncPartition(day or today(), each), settings)
        _show(report, as_json)
        _tell(report)
        _publish()
        worst = max(worst, Status(report.status).exit_code)
    return worst


@click.command()
@click.option("--ispb", type=ISPB, required=True, help="The participant.")
@json_option
def verify(ispb: str, as_json: bool) -> int:
    """Ask DICT whether our five VSyncs are its own; changes no key.

    Exit code: 0 all OK, 1 one is NOK, 2 DICT or the database could not be asked.
    """
    base = database()
    base.retrying(lambda connection: participants.get(connection, ispb))  # reading the table can take minutes
    ours = read_whole(base, ispb)
    read, sets = ours.read, ours.by_key_type
    with connect_dict(environment(), base, ispb, None) as connection:
        verdicts = verify_sets(connection.client, sets.values(), lag=LAG_SECONDS, sleep=time.sleep)
    record_verdicts(base, ispb, verdicts.values(), sets, read.pg_snapshot, read.cluster)
    if as_json:
        told = {name: _verdict_json(sets[name], verdict) for name, verdict in verdicts.items()}
        click.echo(json.dumps({"participant_ispb": ispb, "key_types": told}))
    else:
        for name, verdict in verdicts.items():
            click.echo(f"{name:<5}  {sets[name].entries:>12,}  {verdict.proof or 'NOK'}")
    if all(verdict.ok for verdict in verdicts.values()):
        return 0
    link = environment().heading("vsync-nok")
    click.echo(f"vsync: DICT said NOK: run `vsync sync --ispb {ispb}` (see {link})", err=True)
    return 1


def check_configured(variables: Environment) -> None:
    """Check all variables before anything is begun, and before the modules that read some of them are imported.

    Raises:
        EnvironmentVariableError: one is missing or malformed.
    """
    variables.check()
    _ = variables.database_url, variables.dict_settings, variables.encryption_keys
    from vsync_dagster.alerts.targets import read_targets
    from vsync_dagster.preflight import check_variables

    check_variables(variables)
    read_targets(variables)


def _enabled() -> Iterable[str]:
    with database().connect() as connection:
        return [participant.ispb for participant in participants.enabled(connection)]


def _show(report: Report, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(report_json(report)))
    else:
        print_report(report)


def _tell(report: Report) -> None:
    """Raise or resolve the alert of a failed sync, as sensors do for the runs of a code location."""
    from vsync_dagster.partitions import SyncPartition
    from vsync_dagster.sensors.ended_syncs import raise_failed, tell_of_ended

    # Where the database fails nobody can be told; the clocks ring.
    with suppress(VsyncError):
        if report.status == Status.FAILED:
            raise_failed(SyncPartition(report.sync_day, report.participant_ispb), report.run_id, database())
        else:
            tell_of_ended(report.run_id, database())


def _publish() -> None:
    """Publish what waits in the outbox, once the report is shown: a broker that is down must not delay it."""
    from vsync_dagster.resources import EventBroker

    try:
        EventBroker().publish(database())
    except VsyncError as error:
        _log.warning("the events wait in the outbox: %s", environment().with_link(error))


def _verdict_json(ours: LocalSet, verdict: Verdict) -> dict[str, object]:
    return {
        "entries": ours.entries,
        "vsync": ours.vsync.hex(),
        "result": "OK" if verdict.ok else "NOK",
        "proof": verdict.proof,
        "under_review": len(ours.under_review),
        "answered_at": verdict.answered_at.isoformat(),
    }


def who() -> str:
    """Return who runs the command, on this machine; in a container a user may have a number and no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
