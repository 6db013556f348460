"""An ISPB that nobody knows is a mistake in each command that takes one, and no empty answer."""

from pathlib import Path

import pytest

from vsync_dagster.local_db import participants
from vsync_dagster.local_db.database import Database
from vsync_dagster_tests.cli.conftest import Command

UNKNOWN, KNOWN = "99999999", "12345678"
DAYS = ("--from", "2026-11-01", "--to", "2026-11-02", "--out", "out")
COMMANDS = [
    ("report", "export", *DAYS),
    ("report", "list"),
    ("report", "verify-chain"),
    ("review", "list"),
    ("review", "export"),
    ("outbox", "replay"),
    ("verify",),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_an_unknown_one_is_64(database: Database, vsync: Command, tmp_path: Path, command: tuple[str, ...]) -> None:
    variables = {"VSYNC_DATABASE_URL": database.url, "VSYNC_PULSAR_URL": "pulsar://127.0.0.1:1"}
    ran = vsync(*command, "--ispb", UNKNOWN, **variables)
    assert ran.status == 64
    assert f"participant {UNKNOWN} is not registered" in ran.err
    assert len(ran.err.splitlines()) == 1
    assert ran.out == ""
    assert not (tmp_path / "out").exists()


def test_a_registered_one_without_evidence_has_none(database: Database, vsync: Command) -> None:
    with database.connect() as conn:
        participants.add(conn, KNOWN)
    ran = vsync("report", "export", "--ispb", KNOWN, *DAYS, "--format", "html", VSYNC_DATABASE_URL=database.url)
    assert (ran.status, ran.out.strip()) == (0, "out/report.html")
