"""How an `Entry` of the core maps to columns; the tables that hold entries name them alike."""

from dataclasses import fields
from operator import attrgetter
from typing import Any

from psycopg import sql

from vsync_dagster.reconcile.entry import Entry

_FIELDS = tuple(field.name for field in fields(Entry))

# In the order of Entry's fields, so that `Entry(*row)` reads a row back.
ENTRY_COLUMNS: tuple[str, ...] = tuple("participant_ispb" if name == "participant" else name for name in _FIELDS)


_values = attrgetter(*_FIELDS)


def entry_values(entry: Entry) -> tuple[Any, ...]:
    """Return an entry's values in the order of `ENTRY_COLUMNS`."""
    values: tuple[Any, ...] = _values(entry)
    return values


def column_list(alias: str | None = None) -> sql.Composed:
    """Return the columns, separated by commas and each qualified by `alias` where one is given."""
    names = (sql.Identifier(alias, name) if alias else sql.Identifier(name) for name in ENTRY_COLUMNS)
    return sql.SQL(", ").join(names)
