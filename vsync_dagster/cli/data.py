"""Commands on what is in the database: migrations, participants, reports."""

import json
from uuid import UUID

import click

from vsync_dagster.cli.options import ISPB, database, environment, json_option, require_known
from vsync_dagster.cli.output import print_report, report_json
from vsync_dagster.local_db import fix_details
from vsync_dagster.local_db import migrate as migrations
from vsync_dagster.local_db import participants as participant_table
from vsync_dagster.local_db import reports as report_table
from vsync_dagster.local_db.encryption import Cipher


@click.command()
def migrate() -> None:
    """Bring the tables of VSYNC_DATABASE_URL up to date."""
    applied = migrations.migrate(database())
    click.echo("\n".join(f"applied {name}" for name in applied) or "the tables are up to date")


@click.group()
def participants() -> None:
    """The participants (ISPBs) that are synced."""


@participants.command("add")
@click.argument("ispb", type=ISPB)
@click.option("--name", help="What people call it.")
@click.option("--via", type=ISPB, metavar="DIRECT_ISPB", help="The direct participant that acts for it at DICT.")
def add_participant(ispb: str, name: str | None, via: str | None) -> None:
    """Register a participant. One that is registered stays as it is: `change` changes it."""
    with database().connect() as connection:
        added = participant_table.add(connection, ispb, name=name, via=via)
    click.echo(f"participant {ispb} is registered{'' if added else ' already'}")


@participants.command("change")
@click.argument("ispb", type=ISPB)
@click.option("--name", help="What people call it.")
@click.option("--via", type=ISPB, metavar="DIRECT_ISPB", help="The direct participant that acts for it at DICT.")
@click.option("--direct", is_flag=True, help="It acts for itself at DICT from now on.")
def change_participant(ispb: str, name: str | None, via: str | None, direct: bool) -> None:
    """Change a participant's name or its direct participant; what is not named stays."""
    if via and direct:
        raise click.UsageError("--via and --direct exclude each other")
    if not (name or via or direct):
        raise click.UsageError("name what to change: --name, --via or --direct")
    with database().connect() as connection:
        participant_table.change(connection, ispb, name=name, via=via, direct=direct)
    click.echo(f"participant {ispb} is changed")


@participants.command("enable")
@click.argument("ispb", type=ISPB)
def enable_participant(ispb: str) -> None:
    """Have a participant synced from the next scheduled sync on."""
    with database().connect() as connection:
        participant_table.set_enabled(connection, ispb, enabled=True)
    click.echo(f"participant {ispb} is enabled")


@participants.command("disable")
@click.argument("ispb", type=ISPB)
def disable_participant(ispb: str) -> None:
    """Have a participant synced no more; what is known of it stays."""
    with database().connect() as connection:
        participant_table.set_enabled(connection, ispb, enabled=False)
    click.echo(f"participant {ispb} is disabled")


@participants.command("list")
def list_participants() -> None:
    """List the registered participants."""
    with database().connect() as connection:
        for participant in participant_table.list_all(connection):
            via = f" via {participant.via}" if participant.via else ""
            state = "" if participant.enabled else " (disabled)"
            click.echo(f"{participant.ispb}  {participant.name or ''}{via}{state}")


@click.group("report")
def reports() -> None:
    """The sync reports."""


@reports.command("list")
@click.option("--ispb", type=ISPB, help="Only this participant's.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many, latest first.")
@json_option
def list_reports(ispb: str | None, limit: int, as_json: bool) -> None:
    """List reports, latest first."""
    require_known(ispb)
    with database().connect() as connection:
        found = report_table.list_reports(connection, ispb, limit)
    for report in found:
        if as_json:
            click.echo(json.dumps(report_json(report)))
        else:
            click.echo(
                f"{report.id}  {report.sync_timestamp:%Y-%m-%d %H:%M:%SZ}  {report.participant_ispb}  "
                f"{report.sync_type:<11}  {report.status}"
            )


@reports.command("show")
@click.argument("report_id", metavar="ID", type=click.UUID)
@json_option
def show_report(report_id: UUID, as_json: bool) -> None:
    """Show one report."""
    with database().connect() as connection:
        report = report_table.get(connection, report_id)
    if report is None:
        raise click.UsageError(f"there is no report {report_id}; `vsync report list` lists them")
    if as_json:
        click.echo(json.dumps(report_json(report)))
    else:
        print_report(report)


@reports.command("details")
@click.argument("report_id", metavar="ID", type=click.UUID)
def show_details(report_id: UUID) -> None:
    """Print each entry that the report's run has changed, before and after: a JSON object a line, in the clear.

    Needs VSYNC_ENCRYPTION_KEYS.
    """
    cipher = Cipher(environment().encryption_keys)
    with database().connect() as connection:
        report = report_table.get(connection, report_id)
        if report is None:
            raise click.UsageError(f"there is no report {report_id}; `vsync report list` lists them")
        for detail in fix_details.of_run(connection, cipher, report.run_id):
            told = {"kind": detail.kind, "cid": detail.cid.hex(), "before": detail.before, "after": detail.after}
            click.echo(json.dumps(told, ensure_ascii=False))
