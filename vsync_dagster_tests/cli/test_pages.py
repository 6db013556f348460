"""The commands of the page on key tables, run as they are written, against Debian's PostgreSQL 15."""

import os
import re
import shutil
import subprocess
import tempfile
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from vsync_dagster.embedded.process import LOOPBACK, free_port
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
