"""Puts a participant's key table in the place of `entries`, and takes it out again, each in one transaction."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg
from psycopg.sql import SQL, Composed, Identifier

from vsync_dagster.local_db.database import Connection
from vsync_dagster.local_db.key_table import catalog, script
from vsync_dagster.local_db.key_table.mapping import KeyMapping, KeyMappingError
from vsync_dagster.local_db.key_table.script import Attached, Script
from vsync_dagster.local_db.key_table.view import INDEX_PREFIX, EntriesView
from vsync_dagster.local_db.roles import ALL as ROLES
from vsync_dagster.reconcile.errors import PermanentError, RefusedError

_ATTACHED = "select schema_name, table_name from key_table"
_INDEXES = """
select c.relname::text from pg_index i join pg_class c on c.oid = i.indexrelid
where i.indrelid = keys_kept_in() and starts_with(c.relname::text, %s)
"""
_BROKEN = """
select from pg_index i join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace
where n.nspname = %s and c.relname = %s and not i.indisvalid
"""
_OWNER = "select pg_get_userbyid(relowner), current_user::text from pg_class where oid = 'schema_migrations'::regclass"
GONE = (
    "the key table was dropped, and entries with it: `vsync key-table detach`, and when the table is there again, "
    "`vsync key-table attach` it"
)
_ROLES = "select rolname::text from pg_roles where rolname = any(%s) order by rolname"
_AT_WORK = "select count(*) from sync_leases where expires_at > clock_timestamp()"
_KEPT_IN = """
select n.nspname::text, c.relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.oid = keys_kept_in()
"""
_UNKNOWN_STATUS = """
select count(distinct status) from entries where status not in ('ACTIVE', 'PENDING', 'DELETED')
"""


def plan_attaching(conn: Connection, mapping: KeyMapping) -> list[Composed]:
    """Return what `attach` would run.

    Raises:
        KeyMappingError: the mapping does not fit the table, or there is none of that name.
        RefusedError: our own table holds keys.
    """
    attached = attached_table(conn)
    if attached is None and _one(conn, "select exists (select from entries)"):
        raise RefusedError(
            "the table entries holds keys: it can give way to another table only as long as it is empty",
            code="key-table-attach",
        )
    owner, login = conn.execute(_OWNER).fetchone() or ("", "")
    roles = tuple(name for (name,) in conn.execute(_ROLES, [list(ROLES)]))
    return Script(view_of(conn, mapping), owner, login, roles, attached).attach()


def view_of(conn: Connection, mapping: KeyMapping) -> EntriesView:
    """Return the view of the table that a mapping names.

    Raises:
        KeyMappingError: the mapping does not fit the table, or there is none of that name.
    """
    return EntriesView(mapping, catalog.read(conn, mapping))


def build_indexes(conn: Connection, mapping: KeyMapping) -> None:
    """Build the indexes that `attach` would build while writes to the table wait, and let writes go on meanwhile.

    On a connection that commits each statement by itself. They stay where `attach` is refused afterwards.

    Raises:
        KeyMappingError, RefusedError, PermanentError: as `attach` does; no index is left that is not whole.
    """
    plan_attaching(conn, mapping)
    with _told(mapping):
        for name, statement in view_of(conn, mapping).indexes(concurrently=True).items():
            _drop_if_broken(conn, mapping.schema, name)
            try:
                conn.execute(statement)
            finally:
                _drop_if_broken(conn, mapping.schema, name)


def _drop_if_broken(conn: Connection, schema: str, name: str) -> None:
    """Drop what is left of an index that could not be built: it would be taken as it is."""
    if conn.execute(_BROKEN, [schema, name]).fetchone() is not None:
        conn.execute(SQL("drop index {}").format(Identifier(schema, name)))


def attach(conn: Connection, mapping: KeyMapping) -> None:
    """Have `entries` be a view of the participant's table, in the caller's transaction; again with a changed mapping.

    Writes to the table wait meanwhile, reads do not. The ledger is told what comes into the participant's sets by this,
    and what goes.

    Raises:
        KeyMappingError: the mapping does not fit the table, or the rows in it.
        RefusedError: our own table holds keys, or a sync is at work.
        PermanentError: the login owns not both.
    """
    with _told(mapping):
        _run(conn, plan_attaching(conn, mapping))
        unknown = _one(conn, _UNKNOWN_STATUS)
    if unknown:
        raise KeyMappingError(
            f"{mapping.column_of('status')} of {mapping} has {unknown} values that are not ACTIVE, PENDING or DELETED: "
            "[words.status] says what each of them means"
        )


def plan_detaching(conn: Connection) -> list[Composed]:
    """Return what `detach` would run.

    Raises:
        PermanentError: no table is attached.
    """
    if view_is_gone(conn):
        return script.detach_dropped()
    attached = attached_table(conn)
    if attached is None:
        raise PermanentError(
            "no table is attached: the keys are in the table entries of VSYNC itself", code="key-table-attach"
        )
    return script.detach(attached)


def detach(conn: Connection) -> None:
    """Have `entries` be our own table again, empty as it was. The participant's keeps all its rows.

    Raises:
        PermanentError: no table is attached.
        RefusedError: a sync is at work.
    """
    _run(conn, plan_detaching(conn))


def attached_table(conn: Connection) -> Attached | None:
    """Return the table that `entries` shows, if it is another than our own.

    Raises:
        RefusedError: it was dropped, and `entries` with it.
    """
    if view_is_gone(conn):
        raise RefusedError(GONE, code="key-table-changed")
    if conn.execute(_ATTACHED).fetchone() is None:
        return None
    schema, table = conn.execute(_KEPT_IN).fetchone() or ("", "")
    indexes = conn.execute(_INDEXES, [INDEX_PREFIX])
    return Attached((schema, table), frozenset(name for (name,) in indexes))


def view_is_gone(conn: Connection) -> bool:
    """Tell whether `entries` is gone with the table that it was a view of."""
    return bool(_one(conn, "select to_regclass('public.entries') is null"))


def _run(conn: Connection, statements: Sequence[Composed]) -> None:
    first, *rest = statements
    conn.execute(first)  # from here on no sync can begin
    if _one(conn, _AT_WORK):
        raise RefusedError("a sync is at work: try again when it has ended", code="key-table-attach")
    for statement in rest:
        conn.execute(statement)


@contextmanager
def _told(mapping: KeyMapping) -> Iterator[None]:
    """Say in the words of the mapping what the database refuses."""
    try:
        yield
    except psycopg.errors.UniqueViolation as error:
        what = "key" if "active_key" in (error.diag.constraint_name or "") else "CID or entry id"
        raise KeyMappingError(
            f"two rows of {mapping} hold the same {what}: no two that are active may, or a VSync cannot be believed"
        ) from None
    except psycopg.errors.InsufficientPrivilege:
        raise PermanentError(
            f"this login may not attach {mapping}: it takes a superuser, or a member of both the role that owns "
            "VSYNC's tables and the one that owns that table",
            code="key-table-attach",
        ) from None


def _one(conn: Connection, query: str) -> object:
    row = conn.execute(query.encode()).fetchone()
    return None if row is None else row[0]
