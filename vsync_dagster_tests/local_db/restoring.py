"""A second PostgreSQL server, and a database moved to it with pg_dump and pg_restore."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from vsync_dagster.embedded.folder import wheel_folder
from vsync_dagster.embedded.postgres import embedded_postgres
from vsync_dagster.embedded.postgres_place import PACKAGE
from vsync_dagster.local_db.database import Database
from vsync_dagster_tests.conftest import SERVER_SETTINGS

_USE_TRANSACTION_IDS = """
do $$ begin
    for n in 1..20000 loop perform pg_current_xact_id(); commit; end loop;
end $$
"""


def use_transaction_ids(database: Database) -> None:
    """Give out 20,000 transaction ids: those of a server that has run for long are larger than a new one's."""
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute(_USE_TRANSACTION_IDS)


@contextmanager
def moved_to_a_new_server(database: Database) -> Iterator[Database]:
    """Dump a database, restore it on a new server, and yield it there."""
    with (
        tempfile.TemporaryDirectory(prefix="vsync-test-") as home,
        embedded_postgres(Path(home), keep=False, settings=SERVER_SETTINGS) as url,
    ):
        dump = _run("pg_dump", "--format=custom", "--dbname", database.url)
        _run("pg_restore", "--exit-on-error", "--no-owner", "--dbname", url, given=dump)
        yield Database(url)


def _run(program: str, *arguments: str, given: bytes | None = None) -> bytes:
    command = [str(wheel_folder(PACKAGE) / "pginstall" / "bin" / program), *arguments]
    return subprocess.run(command, input=given, stdout=subprocess.PIPE, check=True, timeout=60).stdout
