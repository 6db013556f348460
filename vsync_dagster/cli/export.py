"""`vsync report export`: a participant's evidence of some days, for an auditor."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import click
import polars as pl

from vsync_dagster.audit.files import WRITERS, write_tables
from vsync_dagster.audit.page import Evidence, render
from vsync_dagster.cli.options import ISPB, DayType, database, environment, require_known
from vsync_dagster.local_db import audit, chains, fix_details
from vsync_dagster.local_db.audit import Period
from vsync_dagster.local_db.database import Connection
from vsync_dagster.local_db.encryption import Cipher
from vsync_dagster.reconcile.calendar import begin_of, end_of

PAGE = "html"
_DETAILS = dict.fromkeys(("run_id", "kind", "cid", "before", "after"), pl.String)


@click.command("export")
@click.option("--ispb", type=ISPB, required=True, help="The participant.")
@click.option("--from", "first_day", type=DayType(), required=True, help="The first day.")
@click.option("--to", "last_day", type=DayType(), required=True, help="The last day.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="A folder for the files; it is made, and must not hold anything.",
)
@click.option(
    "--format",
    "formats",
    type=click.Choice([PAGE, *WRITERS]),
    multiple=True,
    help="What to write; several times for several. Without it, everything.",
)
@click.option(
    "--details", is_flag=True, help="Also what was changed, before and after, in the clear: keys, names, tax ids."
)
def export(ispb: str, first_day: date, last_day: date, out: Path, formats: tuple[str, ...], details: bool) -> None:
    """Write a participant's evidence: report.html for people, and a file for each table for programs.

    Syncs, verifications by key type and what was proved how, repairs, reviews and who decided, calls to DICT with their
    CorrelationIds, and whether the chain of hashes is whole. The page opens without a network, sorts and prints.

    The role vsync_auditor may read all of it but the details; those need the role vsync_compliance and
    VSYNC_ENCRYPTION_KEYS.
    """
    if last_day < first_day:
        raise click.UsageError("--to is before --from")
    if out.exists() and any(out.iterdir()):
        raise click.UsageError(f"{out} holds something already: name another folder")
    require_known(ispb)
    evidence = _read(_period(ispb, first_day, last_day), details=details)
    out.mkdir(parents=True, exist_ok=True)
    for path in _write(evidence, out, formats or (PAGE, *WRITERS)):
        click.echo(path)


def _period(ispb: str, first_day: date, last_day: date) -> Period:
    return Period(ispb, first_day, last_day, begin_of(first_day), end_of(last_day) - timedelta(microseconds=1))


def _read(period: Period, *, details: bool) -> Evidence:
    now = datetime.now(UTC)
    with database().connect(bulk=True) as connection:
        # First: from here on all is read as it was at one moment.
        findings = list(chains.verify(connection, period.ispb))
        tables = audit.read(connection, period, now)
        if details:
            tables["details"] = _details(connection, tables["reports"])
        row = connection.execute("select session_user").fetchone()
        login = str(row and row[0])
        return Evidence(period, tables, chains.chains(connection, period.ispb), findings, now, login)


def _details(connection: Connection, reports: pl.DataFrame) -> pl.DataFrame:
    cipher = Cipher(environment().encryption_keys)
    rows = [
        (run_id, detail.kind, detail.cid.hex(), _json(detail.before), _json(detail.after))
        for run_id in reports["run_id"].to_list()
        for detail in fix_details.of_run(connection, cipher, run_id)
    ]
    return pl.DataFrame(rows, schema=_DETAILS, orient="row")


def _json(values: object) -> str | None:
    return None if values is None else json.dumps(values, ensure_ascii=False)


def _write(evidence: Evidence, out: Path, formats: tuple[str, ...]) -> Iterator[Path]:
    for kind in formats:
        if kind == PAGE:
            path = out / "report.html"
            path.write_text(render(evidence), encoding="utf-8")
            yield path
        else:
            yield from write_tables(evidence.tables, out, kind)
