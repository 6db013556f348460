"""What can go wrong between us and PostgreSQL, without what PostgreSQL says about it.

A server's message and DETAIL quote the row that broke a rule, and with it keys, names and tax ids. So an error of
ours holds only the SQLSTATE and the names of constraint and table.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from vsync_dagster.reconcile.errors import PermanentError, TransientError, VsyncError

# Not OperationalErrors for psycopg, and yet they pass: a standby that is about to be promoted, and the server's
# own limits on idle and on long transactions.
_PASSING_STATES = frozenset({"25006", "25P03", "25P04"})
_INSUFFICIENT_PRIVILEGE = "42501"
LOCK_NOT_AVAILABLE = "55P03"
_UNDEFINED_STATES = frozenset({"42P01", "42703", "42883", "42704", "3F000"})


class DatabaseUnavailableError(TransientError):
    """The server cannot be reached, or gave up on a statement: a lost connection, a timeout, a deadlock."""


class LockedError(DatabaseUnavailableError):
    """Another session holds a lock for longer than a statement waits."""


class PoolerRefusedError(PermanentError):
    """A connection pooler stands between us and the server."""


class DatabaseError(PermanentError):
    """The server refuses a statement, and would refuse it again."""


class NotAllowedError(DatabaseError):
    """The login lacks the right to do it."""


class DatabaseLoginError(DatabaseError):
    """The server answers and does not let this login into this database: a wrong password, name or database."""


# libpq reports a connection that failed as text only, in the server's language where the server refused it. What is
# quoted of it (user, host, database) stays out of the errors. Each: what the text says, whether another attempt may
# help, what to say.
_CONNECTION_FAILURES = (
    (
        r"could not translate host name|failed to resolve host|name or service not known",
        True,
        "the host of {variable} is unknown: correct its name, or have the DNS know it",
    ),
    (
        r"password authentication failed|no password supplied|autentica\S+ .*senha .*falhou|senha não fornecida",
        False,
        "the database refuses the password of {variable}: set that of its user",
    ),
    (
        r'role "[^"]*" (does not exist|is not permitted to log in)|role "[^"]*" não existe',
        False,
        "the user of {variable} does not exist at its server, or may not log in: correct its name, or `create role`",
    ),
    (
        r'database "[^"]*" does not exist|banco de dados "[^"]*" não existe',
        False,
        "the database of {variable} does not exist at its server: correct its name, or `create database`",
    ),
    (
        r"permission denied for database|permissão negada para o? ?banco de dados",
        False,
        "the user of {variable} may not connect to its database: `grant connect on database`",
    ),
    (
        r"no pg_hba\.conf entry|pg_hba\.conf rejects|nenhuma entrada no pg_hba\.conf",
        False,
        "the server of {variable} has no rule that lets this user in from here: add one to its pg_hba.conf",
    ),
    (
        r"certificate verify failed|root certificate file|does not support SSL|SSL error|server certificate for",
        False,
        "no TLS connection with the server of {variable}: check sslmode and sslrootcert in it",
    ),
    (
        r"too many clients|too many connections|remaining connection slots|muitos clientes|muitas conexões",
        True,
        "the server of {variable} has no connection left: raise its max_connections, or end what holds them",
    ),
    (
        r"the database system is (starting up|shutting down|in recovery|not yet accept)|sistema de banco de dados",
        True,
        "the server of {variable} is starting or stopping: try again when it accepts connections",
    ),
    (
        r"connection refused|no such file or directory",
        True,
        "the server of {variable} refuses the connection: nothing listens there; start it, or correct host and port",
    ),
    (
        r"timeout expired|timed out|no route to host|network is unreachable",
        True,
        "the server of {variable} does not answer: check host, port, network and firewall",
    ),
)


@contextmanager
def database_errors() -> Iterator[None]:
    """Turn psycopg's errors into ours.

    Raises:
        DatabaseUnavailableError: trying again later can help.
        DatabaseError: it cannot.
    """
    try:
        yield
    except psycopg.Error as error:
        raise describe(error) from None


def connection_failure(text: str, variable: str) -> VsyncError:
    """Return the error of a connection that could not be opened, by what libpq said about it.

    Args:
        text: libpq's text; nothing of it is quoted.
        variable: the environment variable that holds the URL.

    Returns:
        A DatabaseLoginError where a person must correct something, else a DatabaseUnavailableError.
    """
    for pattern, passes, advice in _CONNECTION_FAILURES:
        if re.search(pattern, text, re.IGNORECASE):
            kind = DatabaseUnavailableError if passes else DatabaseLoginError
            return kind(advice.format(variable=variable))
    return DatabaseUnavailableError(
        f"no connection to the database: check that the server of {variable} runs and lets this user in"
    )


def is_transient(error: psycopg.Error) -> bool:
    """Tell whether the same statement may succeed later."""
    passing = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return passing or error.sqlstate in _PASSING_STATES


def describe(error: psycopg.Error) -> VsyncError:
    """Return the error of ours that says the same, without personal data."""
    where = _where(error)
    if not is_transient(error):
        kind = NotAllowedError if error.sqlstate == _INSUFFICIENT_PRIVILEGE else DatabaseError
        return kind(f"the database refuses a statement{where}: {_advice(error.sqlstate or '')}")
    if error.sqlstate is None:
        return DatabaseUnavailableError("the connection to the database was lost: try again later")
    if error.sqlstate == LOCK_NOT_AVAILABLE:
        return LockedError(
            f"another session holds a lock that a statement needs{where}: end the transaction that holds it;"
            " pg_locks, pg_stat_activity and pg_prepared_xacts show which"
        )
    return DatabaseUnavailableError(f"the database gave up on a statement{where}: try again later")


def _where(error: psycopg.Error) -> str:
    facts = {
        "SQLSTATE": error.sqlstate,
        "constraint": error.diag.constraint_name,
        "table": error.diag.table_name,
    }
    known = ", ".join(f"{name} {value}" for name, value in facts.items() if value)
    return f" ({known})" if known else ""


def _advice(sqlstate: str) -> str:
    if sqlstate in _UNDEFINED_STATES:
        return "run `vsync migrate`"
    if sqlstate == _INSUFFICIENT_PRIVILEGE:
        return "grant this login one of VSYNC's roles; after an upgrade run `vsync roles apply` first"
    if sqlstate.startswith(("22", "23")):
        return "the data breaks a rule of the schema; the server's log shows the row"
    return "the server's log says why"
