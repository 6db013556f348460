"""How long it takes to list reports after ten years of daily syncs: `python -m benchmarks.years`."""

import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import click

from vsync_dagster.embedded.postgres import embedded_postgres
from vsync_dagster.local_db import chains, reports, review
from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.local_db.migrate import migrate
from vsync_dagster.reconcile.keys import KeyType

_FIRST = date(2016, 11, 25)
_FILL = """
insert into sync_reports (id, run_id, participant_ispb, sync_type, sync_day, sync_timestamp, duration_ms, status,
    dry_run, entries_synced, entries_created, entries_updated, entries_deleted, discrepancies, missing_local,
    outdated_local, missing_bacen, in_flight, fixes_failed, verified, pending, key_types, evidence, chain_number,
    chain_hash)
select lpad((day * 1000 + n)::text, 32, '0')::uuid, 'run-' || day * 1000 + n, lpad(n::text, 8, '0'), 'INCREMENTAL',
    %(first)s::date + day, %(first)s::timestamptz + make_interval(days => day, mins => n), 1000, 'COMPLETED',
    false, 1000000, 0, 0, 0, 0, 0, 0, 0, 0, 0, true, 0, %(key_types)s::jsonb, '{}', day + 1, sha256(n::text::bytea)
from generate_series(0, %(days)s - 1) as day, generate_series(1, %(participants)s) as n
"""
_TOLD = (
    '{"entries": 200000, "computed_from": "LEDGER", "read_whole_at": "2026-11-24T03:00:00+00:00", "before": "OK",'
    ' "source": "VERIFIED", "after": "OK", "proof": "VSYNC", "under_review": 0}'
)


@click.command()
@click.option("--years", default=10, show_default=True)
@click.option("--participants", default=300, show_default=True)
@click.option("--rounds", default=5, show_default=True, help="How often each is asked; the slowest counts.")
def main(years: int, participants: int, rounds: int) -> None:
    """Fill the table, and ask what the console and the commands ask of it."""
    days = years * 365
    with (
        tempfile.TemporaryDirectory(prefix="vsync-bench-") as folder,
        embedded_postgres(Path(folder), keep=False) as url,
    ):
        database = Database(url)
        migrate(database)
        _fill(database, days, participants)
        print(f"{days * participants:,} reports\n\n| asked for | slowest of {rounds} | rows |\n| --- | --- | --- |")
        with database.connect() as connection:
            for name, ask in _questions(days, participants).items():
                rows, seconds = 0, 0.0
                for _ in range(rounds):
                    began = time.monotonic()
                    rows = len(ask(connection))
                    seconds = max(seconds, time.monotonic() - began)
                print(f"| {name} | {seconds * 1000:.0f} ms | {rows} |")


def _fill(database: Database, days: int, participants: int) -> None:
    key_types = "{" + ", ".join(f'"{name}": {_TOLD}' for name in KeyType) + "}"
    with database.connect(bulk=True) as connection:
        # A chain of a million hashes is another question.
        connection.execute("alter table sync_reports disable trigger all")
        connection.execute(_FILL, {"first": _FIRST, "days": days, "participants": participants, "key_types": key_types})
        connection.execute("alter table sync_reports enable trigger all")
        connection.commit()
        connection.execute("analyze sync_reports")


def _questions(days: int, participants: int) -> Mapping[str, Callable[[Connection], list[Any]]]:
    ispbs = [f"{number:08}" for number in range(1, min(50, participants) + 1)]
    last = _FIRST + timedelta(days=days - 1)
    middle = _FIRST + timedelta(days=days // 2)
    report_id = UUID(f"{(days - 1) * 1000 + 1:032}")
    return {
        "the latest 100 reports of all (`vsync report list`)": reports.list_reports,
        "the latest 100 of one participant": lambda conn: reports.list_reports(conn, ispbs[-1]),
        "the calendar: the last 31 days of 50 participants": lambda conn: reports.last_of_days(
            conn, ispbs, last - timedelta(days=30), last
        ),
        "the calendar: 31 days from the middle": lambda conn: reports.last_of_days(
            conn, ispbs, middle, middle + timedelta(days=30)
        ),
        "one report, and whether it is what was written": lambda conn: [
            reports.get(conn, report_id),
            chains.verify_report(conn, ispbs[0], report_id),
        ],
        "closed items of ten years (there are none)": lambda conn: review.closed_items(
            conn, since=datetime(2016, 1, 1, tzinfo=UTC), until=datetime(2027, 1, 1, tzinfo=UTC), limit=51
        ),
    }


if __name__ == "__main__":
    main()
