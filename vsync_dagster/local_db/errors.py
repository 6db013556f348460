"""What can go wrong between us and PostgreSQL, without what PostgreSQL says about it.

A server's message and DETAIL quote the row that broke a rule, and with it keys, names and tax ids. So an error of
ours holds only the SQLSTATE and the names of constraint and table.
"""

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
        return DatabaseUnavailableError(
            "no connection to the database: check that the server of VSYNC_DATABASE_URL runs and lets this user in"
        )
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
        return "grant this role the right to do it"
    if sqlstate.startswith(("22", "23")):
        return "the data breaks a rule of the schema; the server's log shows the row"
    return "the server's log says why"
