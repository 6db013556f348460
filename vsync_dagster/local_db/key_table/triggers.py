"""The triggers of a participant's key table, and of the view `entries` of it. Pure: SQL, not run here."""

from collections.abc import Iterator

from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from vsync_dagster.local_db.key_table.columns import OPTIONAL
from vsync_dagster.local_db.key_table.view import EntriesView, commas

LEDGER_TRIGGERS = ("record_deleted_cids", "record_inserted_cids", "record_truncated_cids", "record_updated_cids")
"""What writes `cid_events`, on whatever table the keys are in."""

FUNCTIONS = (
    "record_inserted_keys",
    "record_updated_keys",
    "record_deleted_keys",
    "write_inserted_entry",
    "write_updated_entry",
)
"""The functions that a mapping makes."""

_LEDGER_FUNCTION = """
create or replace function public.{name}() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $vsync$
begin
    insert into public.cid_events (participant_ispb, key_type, entry_id, cid, event_type)
    {events};
    return null;
end
$vsync$
"""

# REMOVED before ADDED, as DICT logs an update.
_CHANGED = """with gone as (
        {old}
    ), come as (
        {new}
    )
    select removed.*, 'REMOVED' from (table gone except table come) as removed
    union all
    select added.*, 'ADDED' from (table come except table gone) as added"""

_LEDGER_TRIGGER = """
create trigger {name} after {event} on {table} referencing {referencing}
    for each statement execute function public.{function}()
"""

# What is not as DICT has it once it is written must not stay: a text that was cut, a time without its milliseconds, a
# trigger of the participant's that writes something else.
_KEPT = """    select * into kept from public.entries where entry_id = {entry_id};
    if ({kept})
        is distinct from ({new})
    then
        raise exception 'the key table keeps something else than was written'
            using errcode = 'check_violation', table = {table}, constraint = 'kept_as_written';
    end if;
    return kept;
"""

_CONSTANTS = """    if ({new}) is distinct from ({constants}) then
        raise exception 'the key table has no column for what differs from its constants'
            using errcode = 'check_violation', table = {table}, constraint = 'constants';
    end if;
"""

_WRITE_FUNCTION = """
create or replace function public.{name}() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $vsync$
#variable_conflict use_column
declare
    kept public.entries;
begin
{constants}{write}{kept}end
$vsync$
"""

_INSERT = """    insert into {table} ({columns})
    values ({values})
    returning {entry_id} into kept.entry_id;
"""

_UPDATE = """    update {table}
    set {changes}
    where {entry_id} = old.entry_id;
    if not found then
        return null;
    end if;
"""

# What an update leaves as it was stays as the participant wrote it.
_CHANGE = "{column} = case when new.{ours} is distinct from old.{ours}{unless} then {written} else {column} end"
# Also where its status means what is written already: a row without a CID becomes active by getting one.
_UNLESS = " and {read} is distinct from new.status"


def ledger(view: EntriesView) -> Iterator[Composable]:
    """Yield the functions and triggers that write `cid_events`, as migration 0002 has them for our own table."""
    old, new = _members(view, "old_rows"), _members(view, "new_rows")
    added, removed = SQL("{}, 'ADDED' {}").format(*new), SQL("{}, 'REMOVED' {}").format(*old)
    changed = SQL(_CHANGED).format(old=SQL("{} {}").format(*old), new=SQL("{} {}").format(*new))
    yield from _ledger_of(view, "inserted", SQL("insert"), SQL("new table as new_rows"), added)
    both = SQL("old table as old_rows new table as new_rows")
    yield from _ledger_of(view, "updated", SQL("update"), both, changed)
    yield from _ledger_of(view, "deleted", SQL("delete"), SQL("old table as old_rows"), removed)
    yield SQL(
        "create trigger record_truncated_cids before truncate on {} "
        "for each statement execute function public.record_truncated_cids()"
    ).format(view.name)
    yield from (enable(view.name, name) for name in LEDGER_TRIGGERS)


def _ledger_of(view: EntriesView, what: str, event: SQL, referencing: SQL, events: Composed) -> Iterator[Composable]:
    function = Identifier(f"record_{what}_keys")
    yield SQL(_LEDGER_FUNCTION).format(name=function, events=events)
    # Nobody may hang it on a table of their own and so write the log.
    yield SQL("revoke execute on function public.{}() from public").format(function)
    yield SQL(_LEDGER_TRIGGER).format(
        name=Identifier(f"record_{what}_cids"),
        event=event,
        table=view.name,
        referencing=referencing,
        function=function,
    )


def _members(view: EntriesView, rows: str) -> tuple[Composed, Composed]:
    """Return what selects the members of the sets among some rows, in two parts: columns can be added between."""
    columns = commas(view.as_ours(ours) for ours in ("participant_ispb", "key_type", "entry_id", "cid"))
    return SQL("select {}").format(columns), SQL("from {} where {} = 'ACTIVE'").format(
        Identifier(rows), view.as_ours("status")
    )


def writing(view: EntriesView) -> Iterator[Composable]:
    """Yield what makes the view writable: by row, so that values can be put into the participant's words."""
    # An entry id is the table's own to give, and stays.
    written = [ours for ours in view.table.columns if ours != "entry_id"]
    entry_id = view.read("entry_id")
    insert = SQL(_INSERT).format(
        table=view.name,
        columns=commas(view.column(ours) for ours in written),
        values=commas(view.written(ours) for ours in written),
        entry_id=entry_id,
    )
    changes = SQL(",\n        ").join(_change(view, ours) for ours in written)
    update = SQL(_UPDATE).format(table=view.name, changes=changes, entry_id=entry_id)
    for name, event, write, row in (
        ("write_inserted_entry", SQL("insert"), insert, SQL("kept")),
        ("write_updated_entry", SQL("update"), update, SQL("old")),
    ):
        function = Identifier(name)
        yield SQL(_WRITE_FUNCTION).format(name=function, constants=_constants(view), write=write, kept=_kept(view, row))
        yield SQL("revoke execute on function public.{}() from public").format(function)
        yield SQL(
            "create or replace trigger {} instead of {} on public.entries for each row execute function public.{}()"
        ).format(function, event, function)


def _change(view: EntriesView, ours: str) -> Composed:
    unless = SQL(_UNLESS).format(read=view.read(ours)) if ours == "status" else SQL("")
    return SQL(_CHANGE).format(
        column=view.column(ours), ours=Identifier(ours), unless=unless, written=view.written(ours)
    )


def _constants(view: EntriesView) -> Composable:
    names = list(view.mapping.constants)
    if not names:
        return SQL("")
    return SQL(_CONSTANTS).format(
        new=commas(SQL("new.{}").format(Identifier(ours)) for ours in names),
        constants=commas(SQL("{}::text").format(Literal(view.mapping.constants[ours])) for ours in names),
        table=Literal(view.mapping.table),
    )


def _kept(view: EntriesView, row: SQL) -> Composed:
    # When a row was changed or deleted is the participant's to say; an entry id is its table's to give, and stays.
    names = [Identifier(ours) for ours in view.table.columns if ours != "entry_id" and ours not in OPTIONAL]
    return SQL(_KEPT).format(
        entry_id=SQL("{}.entry_id").format(row),
        kept=commas([SQL("kept.entry_id"), *(SQL("kept.{}").format(name) for name in names)]),
        new=commas([SQL("coalesce(new.entry_id, kept.entry_id)"), *(SQL("new.{}").format(name) for name in names)]),
        table=Literal(view.mapping.table),
    )


def enable(table: Identifier, trigger: str) -> Composed:
    """Return the statement that puts a trigger in force."""
    # ALWAYS: also under session_replication_role = replica, which restores and bulk loaders use to skip triggers.
    return SQL("alter table {} enable always trigger {}").format(table, Identifier(trigger))
