"""What a session sets for itself, whatever a DBA has set for the role or the database, and how it ends by itself."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Identifier
from sqlalchemy import create_engine, text

from vsync_dagster.embedded.process import LOOPBACK, Server, serving
from vsync_dagster.local_db import database as database_module
from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.errors import DatabaseUnavailableError, PoolerRefusedError
from vsync_dagster.local_db.migrate import migrate
from vsync_dagster_tests.local_db.parts import insert, make_entry, stored, value

OTHERWISE = {
    "DateStyle": "SQL, DMY",
    "IntervalStyle": "sql_standard",
    "TimeZone": "America/Sao_Paulo",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "standard_conforming_strings": "off",
    "transform_null_equals": "on",
    "search_path": "bank",
    "default_transaction_isolation": "serializable",
    "lock_timeout": "1h",
    "statement_timeout": "1h",
}


@pytest.fixture
def set_otherwise(empty_database: Database) -> Database:
    """A database whose own settings differ from what our statements rely on."""
    name = str(conninfo_to_dict(empty_database.url)["dbname"])
    with psycopg.connect(empty_database.url, autocommit=True) as conn:
        conn.execute("create schema bank")
        for setting, chosen in OTHERWISE.items():
            command = SQL("alter database {} set {} to {}")
            conn.execute(command.format(Identifier(name), Identifier(setting), chosen))
    return empty_database


def test_a_session_sets_all_that_it_relies_on(set_otherwise: Database) -> None:
    with psycopg.connect(set_otherwise.url) as theirs, set_otherwise.connect() as ours:
        for setting in OTHERWISE:
            assert value(theirs, f"show {setting}") != value(ours, f"show {setting}"), setting


def test_tables_are_made_in_public_and_read_whatever_the_settings_are(set_otherwise: Database) -> None:
    migrate(set_otherwise)
    with set_otherwise.connect() as conn:
        assert value(conn, "select count(*) from pg_tables where schemaname = 'bank'") == 0
        entry = make_entry(1, created_at=datetime(2021, 5, 6, 7, 8, 9, 123_000, tzinfo=UTC))
        assert stored(conn, insert(conn, entry)) == entry


def test_a_session_that_stands_still_in_a_transaction_is_ended(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is stopped, or paused with its machine, does not keep rows locked for ever."""
    with database.connect() as conn:
        entry_id = insert(conn, make_entry(1))
    monkeypatch.setattr(database_module, "STANDSTILL_MS", 200)
    still = database.open()
    still.execute("select from entries for update")
    with database.connect() as other:
        # Waits for the row until the server has ended the session above.
        other.execute("update entries set owner_type = 'X' where entry_id = %s", [entry_id])
    with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
        still.execute("select 1")


def test_a_lock_that_is_not_to_be_had_is_named(database: Database) -> None:
    with database.connect() as holder:
        insert(holder, make_entry(1))
        holder.execute("lock table entries")
        with pytest.raises(DatabaseUnavailableError, match="holds a lock"), database.connect() as conn:
            conn.execute("set local lock_timeout = 1; select from entries")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "postgres://u:p%40@h:5/d",
            {
                "host": "h",
                "port": "5",
                "user": "u",
                "password": "p@",
                "dbname": "d",
                "options": "-csearch_path=dagster",
            },
        ),
        (
            "postgresql://u@a:1,b:2/d?options=-cwork_mem%3D8MB&target_session_attrs=read-write",
            {
                "host": "a,b",
                "port": "1,2",
                "user": "u",
                "dbname": "d",
                "target_session_attrs": "read-write",
                "options": "-cwork_mem=8MB -csearch_path=dagster",
            },
        ),
        ("postgresql:///?service=vsync", {"service": "vsync", "options": "-csearch_path=dagster"}),
    ],
    ids=["plain", "two hosts and options", "a service file"],
)
def test_sqlalchemy_connects_to_what_we_connect_to(url: str, expected: dict[str, str]) -> None:
    engine = create_engine(Database(url).sqlalchemy_url("dagster"))
    _, arguments = engine.dialect.create_connect_args(engine.url)
    assert arguments == expected


def test_several_hosts_and_options_of_ones_own_are_taken_by_both(database: Database) -> None:
    parts = urlsplit(database.url)
    # Nobody listens on port 1: the second host answers.
    netloc = parts.netloc.replace("@", f"@{LOOPBACK}:1,")
    url = urlunsplit(parts._replace(netloc=netloc, query="options=-cwork_mem%3D8MB"))
    with Database(url).connect() as conn:
        assert value(conn, "show work_mem") == "8MB"
    engine = create_engine(Database(url).sqlalchemy_url("dagster"))
    with engine.connect() as conn:
        assert conn.execute(text("select current_setting('work_mem'), current_setting('search_path')")).one() == (
            "8MB",
            "dagster",
        )
    engine.dispose()


@contextmanager
def pooler(database: Database, folder: Path, mode: str) -> Iterator[Database]:
    """A PgBouncer in front of a database."""
    known = conninfo_to_dict(database.url)
    (folder / "users").write_text(f'"{known["user"]}" "{known["password"]}"\n')

    def command(port: int) -> list[str]:
        settings = folder / "pgbouncer.ini"
        settings.write_text(
            "[databases]\n"
            f"{known['dbname']} = host={known['host']} port={known['port']}\n"
            "[pgbouncer]\n"
            f"listen_addr = {LOOPBACK}\nlisten_port = {port}\nunix_socket_dir =\n"
            f"auth_type = plain\nauth_file = {folder / 'users'}\npool_mode = {mode}\n"
            "ignore_startup_parameters = options, extra_float_digits\n"
        )
        subprocess.run(["chmod", "-R", "a+rX", folder], check=True)
        # It refuses to run as root.
        return ["pgbouncer", "-q", *(["-u", "nobody"] if os.getuid() == 0 else []), str(settings)]

    def url(port: int) -> str:
        return f"postgresql://{known['user']}:{known['password']}@{LOOPBACK}:{port}/{known['dbname']}"

    def answers(_: int, port: int) -> bool:
        try:
            psycopg.connect(url(port), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    server = Server("PgBouncer", command, str(folder / "pgbouncer.ini"), folder, folder / "log", signal.SIGTERM)
    with serving(server, answers) as port:
        yield Database(url(port))


@pytest.mark.skipif(shutil.which("pgbouncer") is None, reason="needs Debian's pgbouncer")
@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_a_pooler_is_refused_and_keeps_nothing_of_ours(database: Database, mode: str) -> None:
    # Not in pytest's own folder, which is private to root.
    with tempfile.TemporaryDirectory(prefix="vsync-test-") as folder, pooler(database, Path(folder), mode) as pooled:
        with pytest.raises(PoolerRefusedError, match="connection pooler"), pooled.connect():
            pass
        with psycopg.connect(pooled.url) as next_client:
            assert value(next_client, "show statement_timeout") == "0"
