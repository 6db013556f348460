import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg
import pytest

from vsync_dagster.local_db.database import Connection, Database, Session
from vsync_dagster.local_db.errors import DatabaseError, DatabaseUnavailableError
from vsync_dagster.reconcile.errors import PermanentError
from vsync_dagster_tests.local_db.parts import afresh, insert, make_entry, value
from vsync_dagster_tests.waiting import wait_until

SECRET = "open-sesame"


@pytest.mark.parametrize(
    "url",
    [
        "",
        f"mysql://vsync:{SECRET}@host/db",
        f"host=localhost password={SECRET}",
        f"postgresql://vsync:{SECRET}@[host/db",
        f"postgresql://vsync:{SECRET}@host/db?no_such_option=1",
    ],
)
def test_a_malformed_url_is_named_and_not_quoted(url: str) -> None:
    with pytest.raises(PermanentError, match="VSYNC_DATABASE_URL") as caught:
        Database(url)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_the_url_is_in_no_repr() -> None:
    assert SECRET not in repr(Database(f"postgresql://vsync:{SECRET}@host/db"))


def test_a_server_that_is_not_there() -> None:
    database = Database(f"postgresql://vsync:{SECRET}@127.0.0.1:1/db")
    with pytest.raises(DatabaseUnavailableError, match="VSYNC_DATABASE_URL") as caught, database.connect():
        pass
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(("bulk", "timeout"), [(False, "10s"), (True, "0")])
def test_a_session_has_its_timeout_and_utc(database: Database, bulk: bool, timeout: str) -> None:
    with database.connect(bulk=bulk) as conn:
        assert value(conn, "show statement_timeout") == timeout
        assert value(conn, "show timezone") == "UTC"
        assert value(conn, "show application_name") == "vsync"
        conn.rollback()
        assert value(conn, "show statement_timeout") == timeout


def test_leaving_commits_and_an_error_rolls_back(database: Database) -> None:
    with database.connect() as conn:
        insert(conn, make_entry(1))
    with pytest.raises(KeyError), database.connect() as conn:
        _insert_and_fail(conn)
    with database.connect() as conn:
        assert value(conn, "select count(*) from entries") == 1


def _insert_and_fail(conn: Connection) -> None:
    insert(conn, make_entry(2))
    raise KeyError


def test_an_error_quotes_no_row(database: Database) -> None:
    entry = make_entry(1, key="fulano@example.com", owner_name="Fulano de Tal")
    with database.connect() as conn:
        insert(conn, entry)
    with pytest.raises(DatabaseError) as caught, database.connect() as conn:
        insert(conn, entry)
    assert str(caught.value) == (
        "the database refuses a statement (SQLSTATE 23505, constraint entries_active_key, table entries): "
        "the data breaks a rule of the schema; the server's log shows the row"
    )
    shown = "".join(traceback.format_exception(caught.value))
    assert "fulano" not in shown.lower()


@pytest.mark.parametrize(
    ("statement", "error", "text"),
    [
        ("select * from no_such_table", DatabaseError, "vsync migrate"),
        ("set local statement_timeout = 1; select pg_sleep(1)", DatabaseUnavailableError, "SQLSTATE 57014"),
        ("do $$ begin raise sqlstate '40001'; end $$", DatabaseUnavailableError, "SQLSTATE 40001"),
        ("do $$ begin raise sqlstate '40P01'; end $$", DatabaseUnavailableError, "SQLSTATE 40P01"),
        ("do $$ begin raise sqlstate '25006'; end $$", DatabaseUnavailableError, "SQLSTATE 25006"),
        ("do $$ begin raise sqlstate '42501'; end $$", DatabaseError, "grant this login"),
        ("select 1 / 0", DatabaseError, "SQLSTATE 22012"),
        ("select pg_terminate_backend(pg_backend_pid())", DatabaseUnavailableError, "SQLSTATE 57P01"),
    ],
)
def test_errors_are_named_by_what_to_do(database: Database, statement: str, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text), database.connect() as conn:
        conn.execute(statement.encode())


def test_a_connection_that_was_closed_is_transient(database: Database) -> None:
    with pytest.raises(DatabaseUnavailableError), database.connect() as conn:
        _use_after_close(conn)


def _use_after_close(conn: Connection) -> None:
    conn.close()
    conn.execute("select 1")


def _failing(times: int, statement: str) -> tuple[Callable[[Connection], int], list[int]]:
    """Return an operation that writes a row and then fails so many times, and the list of its tries."""
    tries: list[int] = []

    def operation(conn: Connection) -> int:
        tries.append(len(tries))
        insert(conn, make_entry(1))
        if len(tries) <= times:
            conn.execute(statement.encode())
        return len(tries)

    return operation, tries


def test_retrying_starts_over_in_a_new_transaction(database: Database) -> None:
    operation, _ = _failing(2, "select pg_terminate_backend(pg_backend_pid())")
    waits: list[float] = []
    assert database.retrying(operation, sleep=waits.append) == 3
    assert len(waits) == 2
    assert all(0 < wait <= 5 for wait in waits)
    with database.connect() as conn:
        assert value(conn, "select count(*) from entries") == 1


def test_retrying_gives_up_after_its_attempts(database: Database) -> None:
    operation, tries = _failing(99, "do $$ begin raise sqlstate '40001'; end $$")
    with pytest.raises(DatabaseUnavailableError, match="40001"):
        database.retrying(operation, attempts=3, sleep=lambda _: None)
    assert len(tries) == 3


def test_retrying_does_not_repeat_what_is_refused(database: Database) -> None:
    operation, tries = _failing(99, "select 1 / 0")
    with pytest.raises(DatabaseError):
        database.retrying(operation, sleep=lambda _: None)
    assert len(tries) == 1


def test_retrying_passes_bulk_on(database: Database) -> None:
    assert database.retrying(lambda conn: value(conn, "show statement_timeout"), bulk=True) == "0"


def test_retrying_each_runs_two_at_a_time_and_keeps_their_order(database: Database) -> None:
    both = threading.Barrier(2)

    def operation(number: int) -> Callable[[Connection], int]:
        def run(conn: Connection) -> int:
            both.wait(timeout=30)
            insert(conn, make_entry(number))
            if number % 2 == 0:
                time.sleep(0.1)  # ends after the one that comes next
            return number

        return run

    assert list(database.retrying_each(map(operation, range(6)), 2)) == list(range(6))
    with database.connect() as conn:
        assert value(conn, "select count(*) from entries") == 6


def test_retrying_each_begins_nothing_after_a_failure(database: Database) -> None:
    begun: list[int] = []

    def operations() -> Iterator[Callable[[Connection], object]]:
        for number in range(9):
            begun.append(number)
            yield lambda conn: insert(conn, make_entry(1)) if begun == [0] else conn.execute("select 1 / 0")

    with pytest.raises(DatabaseError, match="22012"):
        list(database.retrying_each(operations(), 1))
    assert begun == [0, 1]
    with database.connect() as conn:
        assert value(conn, "select count(*) from entries") == 1


def _pid(conn: Connection) -> int:
    return int(value(conn, "select pg_backend_pid()"))


def test_a_session_commits_each_transaction_on_the_same_connection(database: Database) -> None:
    def write(conn: Connection) -> int:
        insert(conn, make_entry(len(pids)))
        return _pid(conn)

    pids: list[int] = []
    with Session(database) as session, database.connect() as watcher:
        for number in range(3):
            pids.append(session.retrying(write))
            assert value(watcher, "select count(*) from entries") == number + 1
            watcher.rollback()
        assert len(set(pids)) == 1
    with database.connect() as conn:
        query = f"select not exists (select from pg_stat_activity where pid = {pids[0]:d})"  # noqa: S608
        wait_until(lambda: afresh(conn, query), "the connection is not closed")


def test_a_session_starts_over_on_a_new_connection(database: Database) -> None:
    operation, _ = _failing(2, "select pg_terminate_backend(pg_backend_pid())")
    with Session(database) as session:
        before = session.retrying(_pid)
        assert session.retrying(operation, sleep=lambda _: None) == 3
        assert session.retrying(_pid) != before
    with database.connect() as conn:
        assert value(conn, "select count(*) from entries") == 1


def test_a_session_rolls_back_what_failed(database: Database) -> None:
    with Session(database) as session:
        with pytest.raises(KeyError):
            session.retrying(_insert_and_fail)
        assert session.retrying(lambda conn: value(conn, "select count(*) from entries")) == 0


def test_a_session_does_not_use_a_connection_that_was_idle_for_long(database: Database) -> None:
    now = [0.0]
    with Session(database, lambda: now[0]) as session:
        first = session.retrying(_pid)
        now[0] += 10
        assert session.retrying(_pid) == first
        now[0] += 11
        assert session.retrying(_pid) != first


def test_a_session_keeps_the_guard(database: Database) -> None:
    def refuse(_: Connection) -> None:
        raise PermanentError("not any more")

    with Session(replace(database, guard=refuse)) as session, pytest.raises(PermanentError, match="not any more"):
        session.retrying(_pid)


def test_a_session_serves_threads_one_at_a_time(database: Database) -> None:
    with Session(database) as session, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: session.retrying(lambda conn: insert(conn, make_entry(n))), range(40)))
        assert session.retrying(lambda conn: value(conn, "select count(*) from entries")) == 40


def test_psycopg_reads_times_as_utc(conn: psycopg.Connection[tuple[object, ...]]) -> None:
    moment = value(conn, "select timestamptz '2026-01-02 03:04:05-03'")
    assert moment.isoformat() == "2026-01-02T06:04:05+00:00"
