"""Our columns, and how a column of another type is read as one of them and written back. Pure: SQL, not run here."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

Words = Mapping[str, tuple[str, ...]]


class Kind(StrEnum):
    """What a column holds. The words of a WORD may be others there."""

    TEXT = "text"
    WORD = "word"
    ENTRY_ID = "entry id"
    UUID = "uuid"
    CID = "CID"
    TIME = "time"


OUR_COLUMNS = {
    "entry_id": Kind.ENTRY_ID,
    "key": Kind.TEXT,
    "key_type": Kind.WORD,
    "participant_ispb": Kind.TEXT,
    "branch": Kind.TEXT,
    "account_number": Kind.TEXT,
    "account_type": Kind.WORD,
    "account_opened_at": Kind.TIME,
    "owner_type": Kind.WORD,
    "owner_tax_id": Kind.TEXT,
    "owner_name": Kind.TEXT,
    "owner_trade_name": Kind.TEXT,
    "request_id": Kind.UUID,
    "cid": Kind.CID,
    "status": Kind.WORD,
    "created_at": Kind.TIME,
    "key_owned_since": Kind.TIME,
    "updated_at": Kind.TIME,
    "deleted_at": Kind.TIME,
}
"""The columns of `entries`, in its order."""

OPTIONAL = frozenset({"updated_at", "deleted_at"})
"""A table may do without: nothing that DICT tells is in them."""

# A row without one of these would be in no set, and nobody would see it.
NEVER_NULL = frozenset({"entry_id", "key", "key_type", "participant_ispb", "status"})
# No person has a trade name, and no entry that lives was deleted.
NULL_AT_TIMES = frozenset({"owner_trade_name", "deleted_at"})

NEVER_MISSING = frozenset({"account_number", "account_type", "owner_tax_id", "owner_name"})
"""Where a row has none of these it is read as empty, which in a CID is the same."""

_TEXTS = frozenset({"text", "character varying", "character"})
_INTEGERS = frozenset({"smallint", "integer", "bigint"})
_CODES = _TEXTS | _INTEGERS | {"boolean"}
_UNLISTED = "UNKNOWN"

_SQL_TYPES = {
    Kind.ENTRY_ID: SQL("uuid"),
    Kind.UUID: SQL("uuid"),
    Kind.CID: SQL("bytea"),
    Kind.TIME: SQL("timestamptz"),
}


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column as the catalog has it.

    `type` is its type or, of a domain, the type underneath; `type_name` is the type itself, as schema and name.
    `labels` are those of an enum.
    """

    name: str
    type: str
    type_name: tuple[str, str]
    not_null: bool
    has_default: bool
    generated: bool
    labels: tuple[str, ...]


def sql_type(kind: Kind) -> SQL:
    """Return the type that a column of the view `entries` has."""
    return _SQL_TYPES.get(kind, SQL("text"))


def objection(kind: Kind, column: TableColumn, *, has_words: bool, time_zone: str | None) -> str | None:
    """Say why a column cannot be read as a kind, and what to do; None if it can."""
    match kind:
        case Kind.TEXT if column.type not in _TEXTS:
            return f"is {column.type}; leading zeros count, so it has to be text"
        case Kind.WORD if not (column.type in _TEXTS or column.labels or (has_words and column.type in _CODES)):
            return f"is {column.type}; it has to be text or an enum, or [words] has to say what its values mean"
        case Kind.ENTRY_ID if column.type not in _TEXTS | _INTEGERS | {"uuid"}:
            return f"is {column.type}; it has to be uuid, bigint or text that holds UUIDs"
        case Kind.UUID if column.type not in _TEXTS | {"uuid"}:
            return f"is {column.type}; it has to be uuid, or text that holds UUIDs"
        case Kind.CID if column.type not in _TEXTS | {"bytea"}:
            return f"is {column.type}; it has to be bytea of 32 bytes, or text of 64 hexadecimal digits"
        case Kind.TIME if column.type == "timestamp without time zone":
            return None if time_zone else "has no time zone; say time_zone in the mapping"
        case Kind.TIME if column.type != "timestamp with time zone":
            return f"is {column.type}; it has to be timestamptz: DICT's times have milliseconds"
    return None


def read_as(kind: Kind, column: TableColumn, words: Words, time_zone: str | None) -> Composable:
    """Return the expression that reads a column as ours. It is immutable, so that an index can hold it.

    A text that is no UUID or no CID is read as null, so that one such row cannot make the whole table unreadable.
    """
    name = Identifier(column.name)
    match kind:
        case Kind.WORD if words or column.labels:
            return _our_word(name, column, words)
        case Kind.TEXT | Kind.WORD:
            return name if column.type == "text" else SQL("{}::text").format(name)
        case Kind.ENTRY_ID if column.type in _INTEGERS:
            return SQL("lpad(to_hex({}::bigint), 32, '0')::uuid").format(name)
        case Kind.ENTRY_ID | Kind.UUID if column.type in _TEXTS:
            return SQL("case when {} then replace({}, '-', '')::uuid end").format(is_there(kind, column), name)
        case Kind.CID if column.type in _TEXTS:
            return SQL("case when {} then decode({}, 'hex') end").format(is_there(kind, column), name)
        case Kind.TIME if column.type == "timestamp without time zone":
            return SQL("({} at time zone {})").format(name, Literal(time_zone))
    return name


def is_there(kind: Kind, column: TableColumn) -> Composed:
    """Return the condition that a column holds a UUID or a CID; it may be null where it does not."""
    name = Identifier(column.name)
    if column.type not in _TEXTS:
        return (SQL("octet_length({}) = 32") if kind is Kind.CID else SQL("{} is not null")).format(name)
    # A pattern that counts its characters, `{64}`, takes sixteen times as long, and a read asks it of every row.
    if kind is Kind.CID:
        return SQL("length({0}) = 64 and {0}::text !~ '[^0-9a-fA-F]'").format(name)
    return SQL("length(replace({0}, '-', '')) = 32 and {0}::text !~ '[^0-9a-fA-F-]'").format(name)


def write_as(kind: Kind, column: TableColumn, words: Words, time_zone: str | None, value: Composable) -> Composable:
    """Return the expression that turns a value of ours into the column's."""
    match kind:
        case Kind.WORD if words or column.type not in _TEXTS:
            return _their_word(value, column, words)
        case Kind.UUID if column.type in _TEXTS:
            return SQL("{}::text").format(value)
        case Kind.CID if column.type in _TEXTS:
            return SQL("encode({}, 'hex')").format(value)
        case Kind.TIME if column.type == "timestamp without time zone":
            return SQL("({} at time zone {})").format(value, Literal(time_zone))
    return value


def _our_word(name: Identifier, column: TableColumn, words: Words) -> Composed:
    pairs = [(theirs, ours) for ours, several in words.items() for theirs in several]
    listed = {theirs for theirs, _ in pairs}
    # Turning an enum into text is not immutable, so its labels are listed. A label that comes later is seen as this.
    pairs += [(label, label) for label in column.labels if label not in listed]
    rest = Literal(_UNLISTED) if column.labels else SQL("{}::text").format(name)
    cases = SQL(" ").join(SQL("when {} then {}").format(Literal(theirs), Literal(ours)) for theirs, ours in pairs)
    return SQL("case {} {} else {} end").format(name, cases, rest)


def _their_word(value: Composable, column: TableColumn, words: Words) -> Composed:
    # A cast to a text with a length would cut what is too long.
    cast = SQL("") if column.type in _TEXTS else SQL("::{}").format(Identifier(*column.type_name))
    cases = SQL(" ").join(
        SQL("when {} then {}{}").format(Literal(ours), Literal(theirs[0]), cast) for ours, theirs in words.items()
    )
    if not words:
        return SQL("{}{}").format(value, cast)
    return SQL("case {0} {1} else {0}{2} end").format(value, cases, cast)
