"""Logins that a DBA would make: each with one of the roles, and nothing else."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit
from uuid import uuid4

from psycopg.sql import SQL, Identifier

from vsync_dagster.local_db import roles
from vsync_dagster.local_db.database import Database


@contextmanager
def login_with(database: Database, role: str) -> Iterator[Database]:
    """Apply the roles, make a login with one of them, and yield the database as that login connects to it."""
    name, password = f"test_{uuid4().hex}", secrets.token_hex(8)
    login = Identifier(name)
    with database.connect() as conn:
        roles.apply(conn)
        conn.execute(SQL("create role {} login password {}").format(login, password))
        conn.execute(SQL("grant {} to {}").format(Identifier(role), login))
    parts = urlsplit(database.url)
    try:
        yield Database(parts._replace(netloc=f"{name}:{password}@{parts.hostname}:{parts.port}").geturl())
    finally:
        with database.connect() as conn:
            conn.execute(SQL("drop owned by {}").format(login))
            conn.execute(SQL("drop role {}").format(login))
