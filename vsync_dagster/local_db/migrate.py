"""Brings the database's schema up to date: numbered SQL files, each applied once."""

import re
from dataclasses import dataclass
from importlib.resources import files

from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.reconcile.errors import PermanentError

# Any number will do, as long as every version of this program takes the same.
_LOCK_ID = 7_281_934_650_112

_CREATE_HISTORY = """
create table if not exists schema_migrations (
    version int primary key,
    name text not null,
    applied_at timestamptz not null default now()
)
"""


_CREATES = re.compile(rb"^create table (?:if not exists )?(\w+)", re.MULTILINE)


class SchemaOccupiedError(PermanentError):
    """Tables of other systems have the names of VSYNC's, or its schema is missing."""


@dataclass(frozen=True, slots=True)
class Migration:
    """A file `NNNN_name.sql`: NNNN is the version."""

    version: int
    name: str
    statements: bytes


def migrations() -> list[Migration]:
    """Return this program's migrations in the order in which they apply."""
    folder = files("vsync_dagster.local_db") / "migrations"
    paths = sorted((path for path in folder.iterdir() if path.name.endswith(".sql")), key=lambda path: path.name)
    return [Migration(int(path.name[:4]), path.name.removesuffix(".sql"), path.read_bytes()) for path in paths]


def migrate(database: Database) -> list[str]:
    """Apply what is missing, all or nothing, and return the names of what was applied.

    One transaction: a migration that is refused leaves the database as it was. Safe to run from several processes at
    once: one waits for the other.

    Raises:
        PermanentError: a newer version of this program has migrated the database.
        SchemaOccupiedError: tables that VSYNC did not make have names that it needs; the text names them.
        DatabaseError: a migration is refused.
    """
    with database.connect(bulk=True) as conn, conn.transaction():
        known = migrations()
        _lock(conn)
        _check_schema(conn)
        occupied = _tables(conn)
        conn.execute(_CREATE_HISTORY)
        applied = _applied(conn)
        if max(applied, default=0) > known[-1].version:
            raise PermanentError(
                "the database's schema is newer than this program: upgrade vsync-dagster", code="schema-newer"
            )
        missing = [migration for migration in known if migration.version not in applied]
        _check_free(missing, occupied)
        for migration in missing:
            conn.execute(migration.statements)
            conn.execute(
                "insert into schema_migrations (version, name) values (%s, %s)", [migration.version, migration.name]
            )
        return [migration.name for migration in missing]


def _check_schema(conn: Connection) -> None:
    if conn.execute("select to_regnamespace('public')").fetchone() == (None,):
        raise SchemaOccupiedError("the schema public is missing: nothing was changed; create it, then migrate again")


def _check_free(missing: list[Migration], occupied: frozenset[str]) -> None:
    created = {name.decode() for migration in missing for name in _CREATES.findall(migration.statements)}
    taken = sorted(created & occupied)
    if taken:
        raise SchemaOccupiedError(
            f"the schema public holds {', '.join(taken)} already, which VSYNC did not make: nothing was changed; use"
            " another database, or move that to another schema"
        )


def _lock(conn: Connection) -> None:
    conn.execute("select pg_advisory_xact_lock(%s)", [_LOCK_ID])


def _applied(conn: Connection) -> set[int]:
    return {version for (version,) in conn.execute("select version from schema_migrations")}


def _tables(conn: Connection) -> frozenset[str]:
    """Return the names that tables, views and indexes have in VSYNC's schema."""
    found = conn.execute("select relname from pg_class where relnamespace = to_regnamespace('public')")
    return frozenset(name for (name,) in found.fetchall())
