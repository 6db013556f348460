"""What is read of a participant's evidence, and the files it is written to."""

import csv
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from vsync_dagster.audit.files import write_tables
from vsync_dagster.local_db import audit, fixes, leases, roles
from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.fixes import FixRecord
from vsync_dagster.local_db.leases import Fence
from vsync_dagster_tests.audit.conftest import FIRST_DAY, FIXED, HELD, HOSTILE, period
from vsync_dagster_tests.local_db.parts import ISPB, OTHER_ISPB
from vsync_dagster_tests.logins import login_with


def read(database: Database, of: audit.Period) -> dict[str, pl.DataFrame]:
    with database.connect() as conn:
        return audit.read(conn, of, datetime.now(UTC) + timedelta(hours=2))


def test_everything_that_an_auditor_asks_for_is_read_as_an_auditor(evidence: Database) -> None:
    with login_with(evidence, roles.AUDITOR) as auditor:
        tables = read(auditor, period())
    assert {name: len(frame) for name, frame in tables.items()} == {
        "reports": 10, "verifications": 20, "fixes": 1, "review_items": 1, "review_steps": 3, "calls": 1,
    }  # fmt: skip
    assert tables["reports"]["discrepancies"].to_list() == list(range(10))
    assert tables["verifications"].filter(key_type="CPF")["proof"].unique().to_list() == ["VSYNC"]
    [item] = tables["review_items"].to_dicts()
    assert item["status"] == "KEPT"
    assert 0 <= item["decided_after_hours"] < 1
    assert 2 <= item["open_hours"] < 3
    assert tables["review_steps"]["decision"].to_list() == [None, "INVESTIGATE", "KEEP"]
    assert tables["calls"]["correlation_id"].to_list() == ["ab" * 16]


def test_only_the_days_and_the_participant_asked_for_are_read(evidence: Database) -> None:
    day = FIRST_DAY + timedelta(days=3)
    tables = read(evidence, period(day, day))
    assert tables["reports"]["sync_day"].to_list() == [day]
    assert len(tables["verifications"]) == 2
    assert len(tables["calls"]) == len(tables["review_steps"]) == len(tables["fixes"]) == 0
    assert len(read(evidence, period(ispb=OTHER_ISPB))["reports"]) == 1
    assert all(frame.is_empty() for frame in read(evidence, period(ispb="00000000")).values())


@pytest.mark.parametrize("role", [roles.AUDITOR, roles.COMPLIANCE])
def test_the_repairs_of_a_run_that_was_killed_are_read_too(evidence: Database, role: str) -> None:
    record = FixRecord(fixes.UPDATE, "CPF", None, b"\x02" * 32, fixes.APPLIED, None)
    with evidence.connect() as conn:
        assert leases.acquire(conn, Fence(ISPB, "run-killed"), "a-host", 0)
        fixes.record(conn, "run-killed", ISPB, [record])
    with login_with(evidence, role) as login:
        assert read(login, period())["fixes"]["run_id"].to_list() == ["run-9", "run-killed"]
        yesterday = period(FIRST_DAY, FIRST_DAY)
        assert "run-killed" not in read(login, yesterday)["fixes"]["run_id"].to_list()


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_no_file_holds_a_key(evidence: Database, tmp_path: Path, kind: str) -> None:
    paths = write_tables(read(evidence, period()), tmp_path, kind)
    assert {path.name for path in paths} == {
        f"{name}.{kind}" for name in ("reports", "verifications", "fixes", "review_items", "review_steps", "calls")
    }
    for path in paths:
        assert HELD.key.encode() not in path.read_bytes()
        assert FIXED.key.encode() not in path.read_bytes()


def test_parquet_holds_what_was_read(evidence: Database, tmp_path: Path) -> None:
    tables = read(evidence, period())
    for path in write_tables(tables, tmp_path, "parquet"):
        assert pl.read_parquet(path).equals(tables[path.stem])


def test_a_spreadsheet_takes_nothing_for_a_formula(evidence: Database, tmp_path: Path) -> None:
    write_tables(read(evidence, period()), tmp_path, "csv")
    with (tmp_path / "review_steps.csv").open(newline="") as file:
        steps = list(csv.DictReader(file))
    assert [step["reason"] for step in steps] == ["MISSING_BACEN", f"'{HOSTILE}", "on its way"]
    with (tmp_path / "reports.csv").open(newline="") as file:
        assert next(csv.DictReader(file))["sync_day"] == FIRST_DAY.isoformat()


def test_an_item_that_was_closed_before_is_not_read(evidence: Database) -> None:
    with evidence.connect() as conn:
        conn.execute("update manual_review_queue set status = 'CLOSED', action_taken = 'x'")
    [item] = read(evidence, period())["review_items"].to_dicts()
    assert item["closed_at"] is not None
    assert item["open_hours"] < 1, "closed, it grows no older"
    later = replace(period(), since=datetime.now(UTC) + timedelta(days=1), until=datetime.now(UTC) + timedelta(days=2))
    assert read(evidence, later)["review_items"].is_empty()
