"""The view `entries` of a participant's key table: how each column of ours is read there, and written. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from vsync_dagster.local_db.key_table.catalog import KeyTable
from vsync_dagster.local_db.key_table.columns import (
    NEVER_MISSING,
    OUR_COLUMNS,
    is_there,
    read_as,
    sql_type,
    write_as,
)
from vsync_dagster.local_db.key_table.mapping import KeyMapping

INDEX_PREFIX = "vsync_keys_"
"""What the names of our indexes on a participant's table begin with; the rest tells their definition."""

_IDENTITY = ("cid", "request_id")
_EVERYWHERE = SQL("")


@dataclass(frozen=True, slots=True)
class EntriesView:
    """`entries` as a view of a participant's table: the SQL of its columns, of their values there, of our indexes."""

    mapping: KeyMapping
    table: KeyTable

    @property
    def name(self) -> Identifier:
        """The table's name in SQL."""
        return Identifier(self.mapping.schema, self.mapping.table)

    def definition(self) -> Composed:
        """Return the statement that makes the view. `xmin` is the version of a row, which fixes ask for."""
        columns = (SQL("{} as {}").format(self.as_ours(ours), Identifier(ours)) for ours in OUR_COLUMNS)
        return SQL("create or replace view public.entries as select\n    {},\n    xmin\nfrom {}").format(
            SQL(",\n    ").join(columns), self.name
        )

    def indexes(self, *, concurrently: bool = False) -> dict[str, Composed]:
        """Return our indexes on the table by name; one that is there by that name is taken as it is.

        `concurrently`, in no transaction, one is built while the table is written.
        """
        how = SQL(" concurrently" if concurrently else "")
        active = SQL(" where {} = 'ACTIVE'").format(self.as_ours("status"))
        # XOR cancels: the same CID twice would vanish from the VSync and make a false "in sync".
        wanted = [self._index(ours, how, unique=True, where=active) for ours in ("key", "cid")]
        if not self._indexed("entry_id", unique=True):
            wanted.append(self._index("entry_id", how, unique=True))
        if not self._indexed("key", unique=False):
            wanted.append(self._index("key", how, unique=False))
        return dict(wanted)

    def _index(
        self, ours: str, how: Composable, *, unique: bool, where: Composable = _EVERYWHERE
    ) -> tuple[str, Composed]:
        definition = SQL("on {} (({})){}").format(self.name, self.read(ours), where)
        # Another mapping makes another index, under another name.
        digest = sha256(definition.as_string().encode()).hexdigest()[:8]
        name = f"{INDEX_PREFIX}{'active_' if where is not _EVERYWHERE else ''}{ours}_{digest}"
        kind = SQL("unique index") if unique else SQL("index")
        return name, SQL("create {}{} if not exists {} {}").format(kind, how, Identifier(name), definition)

    def _indexed(self, ours: str, *, unique: bool) -> bool:
        """Tell whether the participant's own indexes do: one over the very values that are looked for."""
        column = self.table.columns[ours]
        as_it_is = column.type in ("text", "uuid", "character varying")
        there = self.table.indexed.get(column.name)
        return as_it_is and there is not None and (there or not unique)

    def column(self, ours: str) -> Identifier:
        """Return the name in SQL of the table's column for one of ours."""
        return Identifier(self.table.columns[ours].name)

    def as_ours(self, ours: str) -> Composable:
        """Return the expression that reads one of our columns, as the view shows it."""
        if ours in self.mapping.constants:
            return SQL("{}::text").format(Literal(self.mapping.constants[ours]))
        if ours not in self.table.columns:
            return SQL("null::{}").format(sql_type(OUR_COLUMNS[ours]))
        if ours != "status":
            return self.read(ours)
        # What has no CID yet is in no set. DICT's entry completes it, as it does a registration that is under way.
        there = SQL("{} and {}").format(*(is_there(OUR_COLUMNS[name], self.table.columns[name]) for name in _IDENTITY))
        return SQL("case when {0} <> 'ACTIVE' or ({1}) is true then {0} else 'PENDING' end").format(
            self.read("status"), there
        )

    def read(self, ours: str) -> Composable:
        """Return the expression that reads the table's column for one of ours, whatever else is in the row."""
        column = self.table.columns[ours]
        read = read_as(OUR_COLUMNS[ours], column, self._words(ours), self.mapping.time_zone)
        return read if column.not_null or ours not in NEVER_MISSING else SQL("coalesce({}, '')").format(read)

    def written(self, ours: str) -> Composable:
        """Return the expression of what is written to the table's column for `new`, a row of the view."""
        value = SQL("new.{}").format(Identifier(ours))
        return write_as(OUR_COLUMNS[ours], self.table.columns[ours], self._words(ours), self.mapping.time_zone, value)

    def _words(self, ours: str) -> dict[str, tuple[str, ...]]:
        return dict(self.mapping.words.get(ours, {}))


def commas(parts: Iterable[Composable]) -> Composed:
    """Return the parts with commas between them."""
    return SQL(", ").join(parts)
