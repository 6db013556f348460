"""How reports are shown: JSON for programs, a table for people."""

import sys
from dataclasses import asdict
from datetime import date, datetime
from typing import Any
from uuid import UUID

from rich.console import Console
from rich.table import Table

from vsync_dagster.cli.options import environment
from vsync_dagster.local_db.reports import Report, by_key_type
from vsync_dagster.reconcile.remarks import remarks
from vsync_dagster.reconcile.status import Proof, Status

_PROOFS = {
    Proof.VSYNC: "VSync",
    Proof.VSYNC_WITHOUT_REVIEW: "VSync without review",
    Proof.EVENT_CHAIN: "event chain",
}


_PLAIN = "[bold]{}[/bold]"
_STATUSES = {Status.FAILED.value: "[bold red]{}[/bold red]", Status.PARTIAL.value: "[bold yellow]{}[/bold yellow]"}


def report_json(report: Report) -> dict[str, Any]:
    """Return a report as JSON values, its id first and under the name `report_id`."""
    values = asdict(report)
    values["key_types"] = by_key_type(report)
    return {"report_id": str(values.pop("id")), **{name: _plain(value) for name, value in values.items()}}


def print_report(report: Report) -> None:
    """Show a report to a person, on stdout."""
    # Piped, there is no width to fit.
    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty(), width=None if sys.stdout.isatty() else 120)
    status = _STATUSES.get(report.status, _PLAIN).format(report.status)
    console.print(
        f"\n[bold]{report.participant_ispb}[/bold]  {report.sync_day}  {report.sync_type}"
        f"{'  dry run' if report.dry_run else ''}  {status}  in {report.duration_ms / 1000:.1f} s"
    )
    table = Table("key type", "entries", "computed from", "before", "learnt from", "after", "proved by", "under review")
    for column in (1, 7):
        table.columns[column].justify = "right"
    for name, told in by_key_type(report).items():
        # Reports of before there was a ledger to carry sets forward over do not say what was read: the table.
        shown = {"computed_from": "TABLE", **told, "proof": _PROOFS.get(told["proof"], told["proof"])}
        fields = ("entries", "computed_from", "before", "source", "after", "proof", "under_review")
        table.add_row(name, *("-" if shown[field] is None else str(shown[field]) for field in fields))
    console.print(table)
    console.print(_figures(report))
    for remark in remarks(report.key_types):
        console.print(str(remark), style="yellow")
    if report.error_message:
        console.print(report.error_message, style="red" if report.status == Status.FAILED else "yellow", markup=False)
    if report.status == Status.PARTIAL:
        console.print(f"see {environment().heading('partial')}", style="yellow", markup=False)
    console.print(_proof(report))
    console.print(f"report {report.id}, run {report.run_id}")


def _figures(report: Report) -> str:
    """Return the differences and the fixes, and which other run they are from."""
    compared = _of_another(report, "compared", report.compared_by, report.compared_at)
    repaired = _of_another(report, "repaired", report.repaired_by, report.repaired_at)
    return (
        f"{_known(report.discrepancies)} discrepancies: {_known(report.missing_local)} missing here,"
        f" {_known(report.outdated_local)} outdated here, {_known(report.missing_bacen)} missing at DICT;"
        f" {_known(report.in_flight)} in flight{compared}\n"
        f"created {_known(report.entries_created)}, updated {_known(report.entries_updated)}, put up for review"
        f" {_known(report.entries_deleted)}, failed {_known(report.fixes_failed)}{repaired}"
    )


def _known(figure: int | None) -> str:
    return "-" if figure is None else str(figure)


def _of_another(report: Report, what: str, run_id: str | None, at: datetime | None) -> str:
    if run_id in (None, report.run_id):
        return ""
    when = f" at {at:%Y-%m-%d %H:%M:%SZ}" if at else ""
    return f"\n{what} by another run{when}: {run_id}"


def _proof(report: Report) -> str:
    if not report.verified:
        return "[yellow]not proved to be in sync[/yellow]"
    under_review = sum(told["under_review"] for told in report.key_types.values())
    but = f", but for the {under_review} keys still under review" if under_review else ""
    return f"[green]in sync{but}[/green]{_by_ledger(report)}"


def _by_ledger(report: Report) -> str:
    since = [told["read_whole_at"] for told in report.key_types.values() if told.get("computed_from") == "LEDGER"]
    if not since:
        return ""
    return f"; DICT's OK proves our ledger right: the table itself was last read whole at {min(since)}"


def _plain(value: object) -> object:
    match value:
        case date() | datetime():
            return value.isoformat()
        case UUID():
            return str(value)
        case _:
            return value
