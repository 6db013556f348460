"""The commands of the pages on key tables, first syncs and operations, as written, on Debian's PostgreSQL 15."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from vsync_dagster.embedded.process import LOOPBACK, free_port
from vsync_dagster.local_db.alerts import Alert, Severity, raise_alert
from vsync_dagster.local_db.database import Database
from vsync_dagster.simulator.population import generate
from vsync_dagster.simulator.server import running_simulator
from vsync_dagster.simulator.settings import Settings
from vsync_dagster.simulator.state import DictState
from vsync_dagster_tests.cli.test_install import ROOT, run
from vsync_dagster_tests.world import ENCRYPTION_KEY, ISPB, certificates

PROGRAMS = Path("/usr/lib/postgresql/15/bin")
# What a participant has before it reads the page on key tables: without the columns that the page adds.
THEIRS = """
create schema core;
create table core.pix_keys (
    id bigint generated always as identity primary key, pix_key text not null, tipo text not null, agencia text,
    conta text not null, tipo_conta text not null, documento text not null, nome text not null, nome_fantasia text,
    situacao text not null, criada_em timestamp, atualizada_em timestamp
);
"""
# What the daemon's first tick does.
OPENED = (
    "import dagster; from vsync_dagster.partitions import open_partitions_for; "
    f"open_partitions_for(dagster.DagsterInstance.get(), ['{ISPB}', '87654321'])"
)

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not PROGRAMS.exists(), reason="PostgreSQL 15 is not installed: apt-get install postgresql-15"),
]


@contextmanager
def debians_server() -> Iterator[str]:
    """Run a new cluster of Debian's PostgreSQL, as the user postgres where this is root; yield a superuser's URL."""
    folder = Path(tempfile.mkdtemp(prefix="vsync-debian-"))
    as_user = {}
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
        as_user = {"user": "postgres", "group": "postgres"}
    port, data = free_port(), folder / "data"
    options = f"-p {port} -k {folder} -c listen_addresses={LOOPBACK} -c fsync=off"
    start = ["pg_ctl", "--pgdata", data, "--wait", "--log", folder / "log", "--options", options, "start"]
    stop = ["pg_ctl", "--pgdata", data, "--wait", "--mode", "immediate", "stop"]
    initdb = ["initdb", "--pgdata", data, "--username", "postgres", "--auth", "trust", "--encoding", "UTF8"]

    def do(command: list[object]) -> None:
        program, *arguments = map(str, command)
        subprocess.run(  # type: ignore[call-overload]
            [PROGRAMS / program, *arguments], cwd=folder, check=True, stdout=subprocess.DEVNULL, timeout=120, **as_user
        )

    try:
        do([*initdb, "--no-locale"])
        do(start)
        yield f"postgresql://postgres@{LOOPBACK}:{port}/postgres"
    finally:
        do(stop)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def variables(tmp_path: Path) -> Iterator[dict[str, str]]:
    """What the first sections of the installation page have set: a database, a DICT, and both sides' certificates."""
    settings = Settings(log_lag=timedelta(0), file_delay=timedelta(0))
    with (
        DictState(tmp_path / "dict.sqlite", now=lambda: datetime.now(UTC)) as state,
        running_simulator(state, settings, certificates()) as dict_url,
        debians_server() as database_url,
    ):
        state.participants.add(ISPB)
        state.bulk_create(generate(ISPB, 1_100, 1))
        yield {
            **certificates().variables(ISPB),
            "VSYNC_DATABASE_URL": database_url,
            "VSYNC_DICT_URL": dict_url,
            "VSYNC_ENCRYPTION_KEYS": ENCRYPTION_KEY,
            "VSYNC_HOME": str(tmp_path / "home"),
        }


def page(name: str) -> Path:
    return ROOT / "docs" / name


def blocks(name: str, language: str) -> list[str]:
    """Return the blocks of a page, also those inside lists."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", page(name).read_text(), re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(indent + text if indent else text) for indent, text in found]


def ended(script: str, folder: Path, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Have bash run commands; return what became of them, whatever their exit code."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("VSYNC_", "DAGSTER_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    environment = {**kept, "PATH": path, **variables}
    return subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )


def steps(name: str) -> list[str]:
    """Return the commands of a page's numbered steps, with the participant's ISPB in place of its placeholder."""
    text = "\n".join(re.findall(r"^\d+\. .*\n(?: +.*\n)*", page(name).read_text(), re.MULTILINE))
    return [command.replace("--ispb ISPB", f"--ispb {ISPB}") for command in re.findall(r"`(vsync [^`]+)`", text)]


def test_a_first_sync_as_its_page_says(variables: dict[str, str], tmp_path: Path) -> None:
    run(f"vsync migrate && vsync participants add {ISPB}", tmp_path, variables)
    verify, dry_run, refused, allowed = (ended(step, tmp_path, variables) for step in steps("first-sync.md"))

    assert (verify.returncode, verify.stdout.count("NOK")) == (1, 5), verify.stderr
    assert (dry_run.returncode, "dry run: 1100 differences" in dry_run.stdout) == (1, True), dry_run
    assert (refused.returncode, "FAILED" in refused.stdout, "1100" in refused.stdout) == (2, True, True), refused
    assert (allowed.returncode, "COMPLETED" in allowed.stdout) == (0, True), allowed
    with psycopg.connect(variables["VSYNC_DATABASE_URL"]) as connection:
        [(login, reason)] = connection.execute("select allowed_by, reason from mass_changes").fetchall()
    assert login
    assert reason == "first sync of an empty base"


def test_operations_as_their_page_says(variables: dict[str, str], tmp_path: Path) -> None:
    alerts, backfill = blocks("operations.md", "sh")
    for name in ("dagster.yaml", "workspace.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    variables["DAGSTER_HOME"] = str(tmp_path)
    added = f"vsync participants add {ISPB} && vsync participants add 87654321"
    run(f'vsync migrate && vsync roles apply && {added} && python -c "{OPENED}"', tmp_path, variables)
    with Database(variables["VSYNC_DATABASE_URL"]).connect() as connection:
        for name in ("VSyncFailed", "VSyncNotOk"):
            raise_alert(connection, Alert(f"{name}/{ISPB}", name, Severity.WARNING, name, name))

    handled = run(alerts, tmp_path, variables)
    asked = ended(backfill, tmp_path, variables)

    assert f"VSyncFailed/{ISPB}" in handled
    assert asked.returncode == 0, asked.stderr[-3_000:]
    with psycopg.connect(variables["VSYNC_DATABASE_URL"]) as connection:
        assert connection.execute("select count(*) from alert_trail").fetchone() == (2,)
        [(body,)] = connection.execute("select body from dagster.bulk_actions").fetchall()
    assert [body.count(f"{day}|{ispb}") for day in ("2026-11-23", "2026-11-24") for ispb in (ISPB, "87654321")] == [
        1
    ] * 4


def test_a_key_table_as_its_page_says(variables: dict[str, str], tmp_path: Path) -> None:
    [mapping] = blocks("key-table.md", "toml")
    added, pending = blocks("key-table.md", "sql")
    [attaching] = blocks("key-table.md", "sh")
    (tmp_path / "mapping.toml").write_text(mapping, "utf-8")
    with psycopg.connect(variables["VSYNC_DATABASE_URL"], autocommit=True) as dba:
        dba.execute(THEIRS.encode())
        dba.execute(added.encode())

    shown = run(attaching, tmp_path, variables)
    run(f"vsync participants add {ISPB}", tmp_path, variables)
    allowed = 'vsync sync --ispb {} --sync-type FULL --allow-mass-change --reason "first sync of an empty base"'
    synced = run(allowed.format(ISPB), tmp_path, variables)

    assert "the triggers of the ledger are in force" in shown
    assert "COMPLETED" in synced
    with Database(variables["VSYNC_DATABASE_URL"]).connect() as connection:
        assert connection.execute(pending.encode()).fetchall() == []
        assert connection.execute("select count(*) from core.pix_keys where situacao = 'ATIVA'").fetchone() == (1_100,)
