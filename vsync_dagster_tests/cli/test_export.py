"""`vsync report export` as an auditor and as compliance run it."""

import base64
from pathlib import Path

import pytest

from vsync_dagster.local_db import roles
from vsync_dagster.local_db.database import Database
from vsync_dagster_tests.audit.conftest import FIRST_DAY, FIXED, TODAY, evidence
from vsync_dagster_tests.cli.conftest import Command
from vsync_dagster_tests.local_db.parts import ISPB
from vsync_dagster_tests.logins import login_with

__all__ = ["evidence"]

KEYS = base64.urlsafe_b64encode(bytes(range(32))).decode()
EXPORT = ("report", "export", "--ispb", ISPB, "--from", str(FIRST_DAY), "--to", str(TODAY))
TABLES = {"reports", "verifications", "fixes", "review_items", "review_steps", "calls"}


@pytest.fixture
def vsync(tmp_path: Path) -> Command:
    """The command, in a folder of its own."""
    return Command({}, tmp_path)


def test_an_auditor_exports_everything_but_the_details(evidence: Database, vsync: Command, tmp_path: Path) -> None:
    with login_with(evidence, roles.AUDITOR) as auditor:
        variables = {"VSYNC_DATABASE_URL": auditor.url, "VSYNC_ENCRYPTION_KEYS": KEYS}
        ran = vsync(*EXPORT, "--out", "audit", **variables)
        details = vsync(*EXPORT, "--out", "details", "--details", **variables)
        again = vsync(*EXPORT, "--out", "audit", **variables)
    assert ran.status == 0, ran.err
    written = {path.name for path in (tmp_path / "audit").iterdir()}
    assert written == {"report.html", *(f"{name}.{kind}" for name in TABLES for kind in ("csv", "parquet"))}
    assert len(ran.out.splitlines()) == len(written)
    assert "by the database login <b>test_" in (tmp_path / "audit" / "report.html").read_text()
    assert (details.status, "grant this login one of" in details.err) == (2, True)
    assert not (tmp_path / "details").exists()
    assert again.status == 64


def test_compliance_exports_the_details_where_it_is_asked_for_them(
    evidence: Database, vsync: Command, tmp_path: Path
) -> None:
    with login_with(evidence, roles.COMPLIANCE) as compliance:
        variables = {"VSYNC_DATABASE_URL": compliance.url, "VSYNC_ENCRYPTION_KEYS": KEYS}
        plain = vsync(*EXPORT, "--out", "plain", "--format", "html", **variables)
        ran = vsync(*EXPORT, "--out", "out", "--format", "csv", "--details", **variables)
    assert (plain.status, ran.status) == (0, 0), plain.err + ran.err
    assert FIXED.key not in (tmp_path / "plain" / "report.html").read_text()
    assert FIXED.key in (tmp_path / "out" / "details.csv").read_text()
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".csv"}
