"""What PostgreSQL's catalog says about a participant's key table, and what speaks against syncing it in place."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from psycopg.rows import class_row

from vsync_dagster.local_db.database import Connection
from vsync_dagster.local_db.key_table.columns import (
    NEVER_NULL,
    NULL_AT_TIMES,
    OPTIONAL,
    OUR_COLUMNS,
    Kind,
    TableColumn,
    objection,
    sql_type,
)
from vsync_dagster.local_db.key_table.mapping import KeyMapping, KeyMappingError

_TABLE = """
select c.oid, c.relkind::text as kind, pg_get_userbyid(c.relowner) as owner,
    c.relispartition or exists (select from pg_inherits where c.oid in (inhrelid, inhparent)) as inherits,
    c.relrowsecurity as row_security,
    exists (select from pg_subscription_rel where srrelid = c.oid) as subscribed,
    array(
        select array[m.nspname::text, s.relname::text]
        from pg_depend d join pg_class s on s.oid = d.objid and s.relkind = 'S'
            join pg_namespace m on m.oid = s.relnamespace
        where d.refclassid = 'pg_class'::regclass and d.refobjid = c.oid and d.deptype = 'a'
    ) as sequences
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = %s and c.relname = %s
"""

_COLUMNS = """
select a.attname as name, format_type(coalesce(nullif(t.typbasetype, 0), t.oid), null) as type,
    array[n.nspname::text, t.typname::text] as type_name, a.attnotnull or t.typnotnull as not_null,
    a.atthasdef or a.attidentity <> '' as has_default, a.attgenerated <> '' as generated,
    array(select enumlabel::text from pg_enum where enumtypid = t.oid order by enumsortorder) as labels
from pg_attribute a join pg_type t on t.oid = a.atttypid join pg_namespace n on n.oid = t.typnamespace
where a.attrelid = %s and a.attnum > 0 and not a.attisdropped
order by a.attnum
"""

_INDEXED = """
select a.attname::text, bool_or(i.indisunique)
from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
    join pg_class c on c.oid = i.indexrelid join pg_am m on m.oid = c.relam and m.amname = 'btree'
where i.indrelid = %s and i.indnkeyatts = 1 and i.indpred is null and i.indisvalid
group by a.attname
"""


@dataclass(frozen=True, slots=True)
class _Facts:
    """A table as the catalog has it; `kind` is pg_class.relkind, `sequences` are those of its serial columns."""

    oid: int
    kind: str
    owner: str
    inherits: bool
    row_security: bool
    subscribed: bool
    sequences: list[list[str]]


@dataclass(frozen=True, slots=True)
class KeyTable:
    """A participant's key table: its owner, the sequences of its serial columns, and its columns by our names.

    `indexed` names the columns that have an index of their own over all rows, and tells whether it is unique.
    """

    owner: str
    sequences: list[tuple[str, str]]
    columns: Mapping[str, TableColumn]
    indexed: Mapping[str, bool]


def read(conn: Connection, mapping: KeyMapping) -> KeyTable:
    """Return the table that a mapping names.

    Raises:
        KeyMappingError: there is none, or it cannot be synced in place; the text says everything that is to be mended.
    """
    with conn.cursor(row_factory=class_row(_Facts)) as cursor:
        facts = cursor.execute(_TABLE, [mapping.schema, mapping.table]).fetchone()
    if facts is None:
        raise KeyMappingError(f"there is no table {mapping} in this database")
    with conn.cursor(row_factory=class_row(TableColumn)) as cursor:
        there = {column.name: column for column in cursor.execute(_COLUMNS, [facts.oid])}
    objections = [*_of_table(facts), *_of_columns(mapping, there)]
    if objections:
        raise KeyMappingError(f"{mapping} cannot be synced in place: {'; '.join(objections)}")
    columns = {ours: there[name] for ours in OUR_COLUMNS if (name := mapping.column_of(ours)) in there}
    indexed: dict[str, bool] = dict(conn.execute(_INDEXED, [facts.oid]).fetchall())
    return KeyTable(facts.owner, [(schema, name) for schema, name in facts.sequences], columns, indexed)


def _of_table(facts: _Facts) -> Iterator[str]:
    if facts.kind == "p" or facts.inherits:
        yield "it is partitioned or inherits, and what is written to a partition passes the table's triggers by"
    elif facts.kind != "r":
        yield "it is no ordinary table"
    if facts.subscribed:
        yield "a subscription writes it, and what logical replication applies fires no statement trigger"
    if facts.row_security:
        yield "it has row security, and rows that a policy hides would look missing"


def _of_columns(mapping: KeyMapping, there: Mapping[str, TableColumn]) -> Iterator[str]:
    mapped: set[str] = set()
    for ours, kind in OUR_COLUMNS.items():
        name = mapping.column_of(ours)
        if ours in mapping.constants or (ours in OPTIONAL and ours not in mapping.columns and name not in there):
            continue
        mapped.add(name)
        if name in there:
            yield from _of_column(mapping, ours, kind, there[name])
        else:
            kind_there = sql_type(kind).as_string()
            yield f"it has no column {name} for {ours}: name another in [columns], or add one ({kind_there})"
    for column in there.values():
        if column.name not in mapped and column.not_null and not (column.has_default or column.generated):
            yield f"its column {column.name} is not null and has no default, so that no key could be inserted"


def _of_column(mapping: KeyMapping, ours: str, kind: Kind, column: TableColumn) -> Iterator[str]:
    where = f"its column {column.name} ({ours})"
    wrong = objection(kind, column, has_words=ours in mapping.words, time_zone=mapping.time_zone)
    if wrong:
        yield f"{where} {wrong}"
    if ours in NEVER_NULL and not column.not_null:
        yield f"{where} may be null, and such a row would be in no set: set it not null"
    if ours in NULL_AT_TIMES and column.not_null:
        yield f"{where} is not null, and there are entries without one: drop not null"
    if ours == "entry_id" and not (column.has_default or column.generated):
        yield f"{where} has no default, so that no key could be inserted"
    if ours != "entry_id" and column.generated:
        yield f"{where} is generated, so that no fix could be written to it"
