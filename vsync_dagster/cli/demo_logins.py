"""Logins for the demonstration's console: made when it starts, gone when it ends, passwords told once."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from psycopg.sql import SQL, Identifier, Literal

from vsync_dagster.local_db import participants, roles
from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.reconcile.errors import RefusedError

LOGINS = {"demo_ana": roles.COMPLIANCE, "demo_rui": roles.COMPLIANCE, "demo_eva": roles.AUDITOR}


@contextmanager
def demo_logins(database: Database) -> Iterator[dict[str, str]]:
    """Make two people who decide and one who audits, and yield their passwords by name.

    Raises:
        RefusedError: there is no demonstration in this database.
    """
    passwords = {name: secrets.token_urlsafe(12) for name in LOGINS}
    with database.connect() as conn:
        if not participants.list_all(conn):
            raise RefusedError("there is nothing to show yet: run `vsync demo` first", code="demonstration")
        roles.apply(conn)
        _drop(conn)  # what a run that was killed has left
        for name, password in passwords.items():
            login = Identifier(name)
            conn.execute(SQL("create role {} login password {}").format(login, Literal(password)))
            conn.execute(SQL("grant {} to {}").format(Identifier(LOGINS[name]), login))
    try:
        yield passwords
    finally:
        with database.connect() as conn:
            _drop(conn)


def _drop(conn: Connection) -> None:
    for name in LOGINS:
        conn.execute(SQL("drop role if exists {}").format(Identifier(name)))
