"""The embedded PostgreSQL: its URL, what its data folder survives, and what its log keeps."""

import os
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest
import sqlalchemy

from vsync_dagster.embedded.postgres import embedded_postgres
from vsync_dagster.embedded.postgres_place import find_place
from vsync_dagster.reconcile.errors import PermanentError
from vsync_dagster_tests.embedded.runs import end_run, servers_of, start_run


def test_psycopg_and_sqlalchemy_take_the_same_url(home: Path) -> None:
    with embedded_postgres(home) as url:
        with psycopg.connect(url) as connection:
            row = connection.execute("SELECT current_database(), current_setting('TimeZone')").fetchone()
        engine = sqlalchemy.create_engine(url)
        with engine.connect() as other:
            value = other.execute(sqlalchemy.text("SELECT current_setting('max_connections')")).scalar()
        engine.dispose()
    assert row == ("vsync", "UTC")
    assert value == "200"
    # dagster-postgres works with psycopg2 only, and leaves the choice to SQLAlchemy.
    assert engine.dialect.driver == "psycopg2"


def test_the_server_is_for_this_run_only(home: Path) -> None:
    with embedded_postgres(home) as url:
        parts = urlsplit(url)
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(url.replace(str(parts.password), "guessed"))
        listening = {each.laddr.ip for each in psutil.net_connections("inet") if each.laddr.port == parts.port}
    assert listening == {"127.0.0.1"}


def test_data_stay_for_the_next_run(home: Path) -> None:
    with embedded_postgres(home) as url, psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
    with embedded_postgres(home) as url, psycopg.connect(url) as connection:
        row = connection.execute("SELECT number FROM kept").fetchone()
    assert row == (7,)


def test_without_keep_the_data_go(home: Path) -> None:
    with embedded_postgres(home, keep=False):
        place = find_place((home / "postgres").resolve())
        assert place.cluster.exists()
    assert not place.cluster.exists()


def test_committed_data_survive_a_kill_of_everything(home: Path) -> None:
    run, url = start_run("embedded_postgres", home)
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
    started = servers_of(run)
    for process in [psutil.Process(run.pid), *started]:
        process.kill()
    end_run(run)
    pid_file = find_place((home / "postgres").resolve()).data / "postmaster.pid"
    assert pid_file.exists()
    with embedded_postgres(home) as url, psycopg.connect(url) as connection:
        row = connection.execute("SELECT number FROM kept").fetchone()
    assert row == (7,)


def test_a_stale_pid_file_that_names_another_program_is_no_hindrance(home: Path) -> None:
    with embedded_postgres(home):
        place = find_place((home / "postgres").resolve())
        lines = (place.data / "postmaster.pid").read_text("ascii").splitlines()
    # The number now belongs to a program of the same user, which PostgreSQL takes for a running server.
    account = {} if place.account is None else {"user": place.account.uid}
    with psutil.Popen(["sleep", "60"], **account) as stranger:
        (place.data / "postmaster.pid").write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n", "ascii")
        place.give(place.data / "postmaster.pid")
        with embedded_postgres(home) as url:
            psycopg.connect(url).close()
        assert stranger.is_running()
        stranger.kill()


def test_a_cluster_that_was_never_finished_is_made_anew(home: Path) -> None:
    (home / "postgres").mkdir(parents=True)
    place = find_place((home / "postgres").resolve())
    (place.new_folder("cluster.new") / "data").mkdir()
    with embedded_postgres(home) as url:
        psycopg.connect(url).close()


def test_data_of_another_version_are_refused(home: Path) -> None:
    with embedded_postgres(home):
        version = find_place((home / "postgres").resolve()).data / "PG_VERSION"
    version.write_text("15\n", "ascii")
    with pytest.raises(PermanentError, match=r"is of PostgreSQL 15, this is 16"), embedded_postgres(home):
        pass


def test_a_server_that_does_not_start_says_why(home: Path) -> None:
    with embedded_postgres(home):
        settings = find_place((home / "postgres").resolve()).data / "postgresql.conf"
    settings.write_text("shared_buffers = nonsense\n", "ascii")
    with pytest.raises(PermanentError, match=r"does not start: .*FATAL: .*configuration file"), embedded_postgres(home):
        pass


def test_the_log_keeps_nothing_of_a_statement(home: Path) -> None:
    with embedded_postgres(home) as url, psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE entries (key text PRIMARY KEY)")
        connection.execute("INSERT INTO entries VALUES ('secret@example.com')")
        with pytest.raises(psycopg.errors.UniqueViolation, match=r"secret@example.com"):
            connection.execute("INSERT INTO entries VALUES ('secret@example.com')")
        with pytest.raises(psycopg.errors.InvalidTextRepresentation):
            connection.execute("SELECT 'secret@example.com'::int")
    log = (home / "postgres" / "log").read_text("utf-8")
    assert "ready to accept connections" in log
    assert "secret" not in log


def test_a_caller_may_choose_settings(home: Path) -> None:
    with embedded_postgres(home, settings={"fsync": "off"}) as url, psycopg.connect(url) as connection:
        row = connection.execute("SELECT current_setting('fsync'), current_setting('max_connections')").fetchone()
    assert row == ("off", "200")


def test_the_environment_of_the_person_does_not_matter(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"LC_ALL": "pt_BR.nowhere", "PGPORT": "1", "PGDATA": os.devnull, "TZ": "Mars/Olympus"}.items():
        monkeypatch.setenv(name, value)
    with embedded_postgres(home) as url:
        psycopg.connect(url).close()
