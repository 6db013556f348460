"""Everywhere a run leaves something: read to the last byte, place by place."""

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import psutil
from psycopg.sql import SQL, Identifier

from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster_tests.privacy.secrets import secrets_in

Leaks = dict[str, set[str]]
"""The secrets found, by place."""

# Where personal data live in the clear: the participant's entries, and the keys that a person decides about.
CLEAR_TABLES = {"public.entries"}
CLEAR_COLUMNS = {"public.manual_review_queue": ["key"]}

_TABLES = """
select n.nspname, c.relname, array(
    select attname from pg_attribute
    where attrelid = c.oid and attnum > 0 and not attisdropped and atttypid = 'bytea'::regtype
)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'm', 'p') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
order by 1, 2
"""


def leaks_in(places: Iterable[tuple[str, bytes]]) -> Leaks:
    """Search places and return those that hold a secret."""
    leaks: Leaks = {}
    for place, data in places:
        found = secrets_in(data)
        if found:
            leaks.setdefault(place, set()).update(found)
    return leaks


def in_database(database: Database) -> Iterator[tuple[str, bytes]]:
    """Every row of every table of every schema, as text and, where bytes are stored, as those."""
    with database.connect(bulk=True) as conn:
        for schema, name, binary in conn.execute(_TABLES).fetchall():
            table = f"{schema}.{name}"
            if table not in CLEAR_TABLES:
                yield from ((table, row) for row in _rows(conn, schema, name, CLEAR_COLUMNS.get(table, [])))
                yield from ((table, row) for row in _binary(conn, schema, name, binary))
        yield from (("pg_stat_activity", row) for row in _rows(conn, "pg_catalog", "pg_stat_activity", []))


def _rows(conn: Connection, schema: str, name: str, without: list[str]) -> Iterator[bytes]:
    query = SQL("select (to_jsonb(t) - %s::text[])::text from {} t").format(Identifier(schema, name))
    return (row.encode() for (row,) in conn.execute(query, [without]).fetchall())


def _binary(conn: Connection, schema: str, name: str, columns: list[str]) -> Iterator[bytes]:
    for column in columns:
        query = SQL("select {} from {}").format(Identifier(column), Identifier(schema, name))
        yield from (bytes(value) for (value,) in conn.execute(query).fetchall() if value is not None)


def in_folder(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file, its name included; Parquet also as what it decodes to."""
    for path in sorted(folder.rglob("*")):
        yield str(path), str(path).encode()
        if not path.is_file():
            continue
        yield str(path), path.read_bytes()
        if path.suffix == ".parquet":
            yield str(path), _decoded(pl.read_parquet(path))


def _decoded(frame: pl.DataFrame) -> bytes:
    texts = [repr(row).encode() for row in frame.rows()]
    return b"\n".join([*texts, *(value for row in frame.rows() for value in row if isinstance(value, bytes))])


@contextmanager
def watched_processes() -> Iterator[set[str]]:
    """Collect the command lines of this process and of all that it starts, as anybody on the machine sees them."""
    seen: set[str] = set()
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            seen.update(_command_lines())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        ended.set()
        watcher.join()


def _command_lines() -> Iterator[str]:
    this = psutil.Process()
    for process in (this, *this.children(recursive=True)):
        try:
            yield " ".join(process.cmdline())
        except psutil.Error:
            continue


def named(place: str, texts: Iterable[str | bytes | Mapping[str, str]]) -> Iterator[tuple[str, bytes]]:
    """Texts that lie in no file: what was logged, printed, published."""
    return ((place, text if isinstance(text, bytes) else str(text).encode()) for text in texts)
