"""Brings the database's schema up to date: numbered SQL files, each applied once and in one transaction."""

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
    """Apply what is missing and return the names of what was applied. Safe to run from several processes at once.

    Raises:
        PermanentError: a newer version of this program has migrated the database.
        DatabaseError: a migration is refused; that one is rolled back, those before it stay.
    """
    with database.connect(bulk=True) as conn:
        known = migrations()
        with conn.transaction():
            _lock(conn)
            conn.execute(_CREATE_HISTORY)
            if max(_applied(conn), default=0) > known[-1].version:
                raise PermanentError(
                    "the database's schema is newer than this program: upgrade vsync-dagster", code="schema-newer"
                )
        return [migration.name for migration in known if _apply(conn, migration)]


def _apply(conn: Connection, migration: Migration) -> bool:
    with conn.transaction():
        _lock(conn)
        if migration.version in _applied(conn):
            return False
        conn.execute(migration.statements)
        conn.execute(
            "insert into schema_migrations (version, name) values (%s, %s)", [migration.version, migration.name]
        )
        return True


def _lock(conn: Connection) -> None:
    conn.execute("select pg_advisory_xact_lock(%s)", [_LOCK_ID])


def _applied(conn: Connection) -> set[int]:
    return {version for (version,) in conn.execute("select version from schema_migrations")}
