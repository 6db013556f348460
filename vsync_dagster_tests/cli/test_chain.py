"""`vsync report verify-chain` as an auditor runs it."""

import json
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from vsync_dagster.local_db import reports
from vsync_dagster.local_db.database import Database
from vsync_dagster_tests.cli.conftest import Command
from vsync_dagster_tests.local_db.parts import rows
from vsync_dagster_tests.local_db.test_chains import tamper
from vsync_dagster_tests.local_db.test_reports import REPORT


@pytest.fixture
def vsync(database: Database, tmp_path: Path) -> Command:
    """The command with a database that holds two reports."""
    with database.connect() as conn:
        for number in (1, 2):
            reports.insert(conn, replace(REPORT, id=UUID(int=number), run_id=f"run-{number}"))
    return Command({"VSYNC_DATABASE_URL": database.url}, tmp_path)


def test_a_whole_chain_and_a_broken_one(vsync: Command, database: Database, tmp_path: Path) -> None:
    whole = vsync("report", "verify-chain")
    assert (whole.status, whole.out) == (0, f"{REPORT.participant_ispb}  sync_reports  1 to 2\nall rows fit\n")
    kept = tmp_path / "heads.json"
    kept.write_text(vsync("report", "verify-chain", "--json").out)
    assert vsync("report", "verify-chain", "--heads", str(kept)).status == 0

    tamper(database, "update sync_reports set verified = true where run_id = 'run-1'")
    broken = vsync("report", "verify-chain", "--json")
    assert broken.status == 1
    assert broken.json["findings"] == [
        {
            "table": "sync_reports",
            "participant_ispb": REPORT.participant_ispb,
            "row": str(UUID(int=1)),
            "problem": "changed, or the one before it was",
        }
    ]
    assert f"{UUID(int=1)}: changed" in vsync("report", "verify-chain").out


def test_a_chain_that_was_cut_and_written_anew_needs_the_heads(
    vsync: Command, database: Database, tmp_path: Path
) -> None:
    kept = tmp_path / "heads.json"
    kept.write_text(vsync("report", "verify-chain", "--json").out)
    tamper(database, "delete from sync_reports; delete from evidence_chains")
    assert vsync("report", "verify-chain").status == 0
    found = vsync("report", "verify-chain", "--heads", str(kept))
    assert (found.status, found.out) == (
        1,
        f"sync_reports of {REPORT.participant_ispb}: row 2 is missing\n1 rows do not fit\n",
    )


def test_events_that_a_consumer_has_kept_are_heads_too(vsync: Command, database: Database, tmp_path: Path) -> None:
    kept = tmp_path / "events.jsonl"
    events = []
    for number in (1, 2):
        link = (REPORT.participant_ispb, number)
        query = "select encode(chain_hash, 'hex') from sync_reports where participant_ispb = %s and chain_number = %s"
        with database.connect() as conn:
            hash_ = rows(conn, query, link)[0][0]
        head = {"table": "sync_reports", "participant_ispb": link[0], "number": number, "hash": hash_}
        events.append({"type": "vsync.sync.completed", "data": {"run_id": f"run-{number}", "chains": [head]}})
    events.append({"type": "vsync.entry.deleted", "data": {"cid": "ab"}})
    for form in (events, [event["data"] for event in events]):
        kept.write_text("".join(f"{json.dumps(event)}\n" for event in form))
        assert vsync("report", "verify-chain", "--heads", str(kept)).out.endswith("all rows fit\n")
    tamper(database, "delete from sync_reports where run_id = 'run-1'; update evidence_chains set start_number = 1")
    found = vsync("report", "verify-chain", "--heads", str(kept)).out
    assert "changed, or the one before it was" in found


@pytest.mark.parametrize(
    "content", ["[]", "{}", "no JSON", '{"chains": [{"table": "sync_reports"}]}', '{"chains": [1]}']
)
def test_a_file_of_heads_that_is_none(vsync: Command, tmp_path: Path, content: str) -> None:
    """Nothing is held against nothing: that would look as if all were well."""
    (tmp_path / "heads.json").write_text(content)
    assert vsync("report", "verify-chain", "--heads", str(tmp_path / "heads.json")).status == 64
