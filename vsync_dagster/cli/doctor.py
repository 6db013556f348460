"""`vsync doctor`: whether a sync would work here, and what to do where it would not."""

import json
import re
from dataclasses import asdict
from datetime import UTC, datetime

import click
from rich.console import Console
from rich.markup import escape

from vsync_dagster.cli.options import environment, json_option
from vsync_dagster.reconcile.status import Status

_COLOURS = {"OK": "green", "WARNING": "yellow", "FAILED": "red", "SKIPPED": "dim"}
# Beside those that `vsync --help` lists.
_OTHER_VARIABLES = {"VSYNC_DICT_CLIENT_KEY_PASSWORD", "VSYNC_SIGNING_KEY_PASSWORD"}


@click.command()
@json_option
@click.pass_context
def doctor(context: click.Context, as_json: bool) -> int:
    """Check the whole installation, and say line by line what holds and what to do.

    Variables, database, roles, migrations, triggers; DICT's name, TLS, certificates, calls, budgets and clock; the file
    host, storage, broker and alert targets. Changes nothing. At DICT it costs each participant one question for its
    budgets, and one sync verification of CPF, whose answer is not used.

    \b
    Exit code: 0 a sync would work, 2 it would not.
    """
    # Here, because alerts and storage take their time to import.
    from vsync_dagster.doctor.check import would_sync
    from vsync_dagster.doctor.run import Doctor

    known = set(re.findall(r"VSYNC_[A-Z_]+", context.find_root().command.help or "")) | _OTHER_VARIABLES
    stdout = Console(highlight=False, soft_wrap=True)
    # What is under way, on a terminal only: a pipe gets the results.
    stderr = Console(stderr=True)
    with stderr.status("checking", spinner="dots") as status:
        examined = Doctor(
            environment(),
            known,
            lambda: datetime.now(UTC),
            begin=lambda name: status.update(f"checking: {name}"),
        )
        checks = []
        for check in examined.checks():
            checks.append(check)
            if not as_json:
                action = f": {check.action}" if check.action else ""
                colour = _COLOURS[check.state]
                stdout.print(f"[{colour}]{check.state:<7}[/]  {escape(f'{check.name}: {check.detail}{action}')}")
    works = would_sync(checks)
    if as_json:
        click.echo(json.dumps({"would_sync": works, "checks": [asdict(check) for check in checks]}))
    else:
        stdout.print("a sync would work" if works else "a sync would not work: see what FAILED")
    return 0 if works else Status.FAILED.exit_code
