"""A connection that fails says which of the many reasons it was, and what to do; never the URL, host or user."""

from collections.abc import Iterator
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from psycopg.sql import SQL, Identifier

from vsync_dagster.launch import storage_error
from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.errors import (
    DatabaseLoginError,
    DatabaseUnavailableError,
    NotAllowedError,
    connection_failure,
)
from vsync_dagster.reconcile.errors import VsyncError

PASSWORD = "open-sesame"


@pytest.fixture
def login(database: Database) -> Iterator[str]:
    """The URL of a login of its own, which may connect and nothing else."""
    name = f"test_{uuid4().hex}"
    with database.connect() as conn:
        conn.execute(SQL("create role {} login password {}").format(Identifier(name), PASSWORD))
    parts = urlsplit(database.url)
    yield parts._replace(netloc=f"{name}:{PASSWORD}@{parts.hostname}:{parts.port}").geturl()
    with database.connect() as conn:
        conn.execute(SQL("drop role {}").format(Identifier(name)))


def failure_of(url: str, variable: str = "VSYNC_DATABASE_URL") -> VsyncError:
    with pytest.raises(VsyncError) as caught, Database(url, variable=variable).connect():
        pass
    parts = urlsplit(url)
    assert not {parts.username, parts.password, parts.hostname, parts.path[1:]} & set(str(caught.value).split())
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    return caught.value


def test_a_wrong_password(login: str) -> None:
    error = failure_of(login.replace(PASSWORD, "wrong"))
    assert str(error) == "the database refuses the password of VSYNC_DATABASE_URL: set that of its user"
    assert isinstance(error, DatabaseLoginError)


def test_no_password(login: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSFILE", "/dev/null")
    assert "refuses the password of VSYNC_DATABASE_URL" in str(failure_of(login.replace(f":{PASSWORD}", "")))


def test_a_database_that_is_missing(login: str) -> None:
    error = failure_of(urlsplit(login)._replace(path="/no_such_database").geturl())
    assert str(error).startswith("the database of VSYNC_DATABASE_URL does not exist at its server: ")
    assert isinstance(error, DatabaseLoginError)


def test_a_database_that_one_may_not_connect_to(database: Database, login: str) -> None:
    with database.connect() as conn:
        name = Identifier(urlsplit(login).path[1:])
        conn.execute(SQL("revoke connect on database {} from public").format(name))
    assert "may not connect to its database" in str(failure_of(login))


def test_a_host_that_is_unknown() -> None:
    error = failure_of("postgresql://u:secret@no-such-host.invalid/d")
    assert str(error).startswith("the host of VSYNC_DATABASE_URL is unknown: ")
    assert isinstance(error, DatabaseUnavailableError), "a name server comes back"


def test_a_port_where_nothing_listens() -> None:
    error = failure_of("postgresql://u:secret@127.0.0.1:1/d")
    assert str(error).startswith("the server of VSYNC_DATABASE_URL refuses the connection: ")
    assert isinstance(error, DatabaseUnavailableError)


def test_the_variable_is_the_one_that_the_url_is_from() -> None:
    error = failure_of("postgresql://u:secret@127.0.0.1:1/d", "VSYNC_RETENTION_DATABASE_URL")
    assert "VSYNC_RETENTION_DATABASE_URL" in str(error)


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        # The server's own words are in its language; Portuguese is that of many a participant.
        ('FATAL:  autenticação do tipo senha falhou para usuário "u"', DatabaseLoginError, "refuses the password"),
        ('FATAL:  banco de dados "d" não existe', DatabaseLoginError, "does not exist at its server"),
        ('FATAL:  role "u" does not exist', DatabaseLoginError, "the user of"),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.1"', DatabaseLoginError, "pg_hba.conf"),
        ("FATAL:  sorry, too many clients already", DatabaseUnavailableError, "no connection left"),
        ("FATAL:  the database system is starting up", DatabaseUnavailableError, "starting or stopping"),
        ("connection timeout expired", DatabaseUnavailableError, "does not answer"),
        ("SSL error: certificate verify failed", DatabaseLoginError, "sslrootcert"),
        ("something new", DatabaseUnavailableError, "no connection to the database"),
    ],
)
def test_what_a_server_may_also_say(text: str, kind: type[VsyncError], said: str) -> None:
    error = connection_failure(text, "VSYNC_DATABASE_URL")
    assert type(error) is kind
    assert said in str(error)


class DriverError(Exception):
    """As psycopg2's: its SQLSTATE, if there is one, is `pgcode`."""

    def __init__(self, text: str, pgcode: str | None) -> None:
        super().__init__(text)
        self.pgcode = pgcode


@pytest.mark.parametrize(
    ("sqlstate", "kind", "said"),
    [
        ("42501", NotAllowedError, "run `vsync migrate` and `vsync roles apply`"),
        ("42P01", NotAllowedError, "grant it vsync_application"),
        (None, DatabaseLoginError, "the database refuses the password of VSYNC_DAGSTER_DATABASE_URL"),
    ],
)
def test_what_dagsters_storage_failed_over_is_found_among_its_causes(
    sqlstate: str | None, kind: type[VsyncError], said: str
) -> None:
    outer = RuntimeError("too many retries for DB connection")
    outer.__cause__ = RuntimeError("wrapped")
    outer.__cause__.__cause__ = DriverError('password authentication failed for user "u"', sqlstate)
    error = storage_error(outer, "VSYNC_DAGSTER_DATABASE_URL")
    assert isinstance(error, kind)
    assert said in str(error)


def test_a_connection_that_was_lost_later_is_no_wrong_password(database: Database) -> None:
    with pytest.raises(DatabaseUnavailableError, match=r"gave up|was lost"), database.connect() as conn:
        conn.execute("select pg_terminate_backend(pg_backend_pid())")
