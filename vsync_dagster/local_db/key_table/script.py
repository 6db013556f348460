"""The SQL that puts a participant's key table in the place of `entries`, and takes it out again. Pure: nothing is run.

`entries` becomes a view of the table, so that no other statement of this program knows of it; the triggers of the
ledger go onto the table itself, where the participant's own systems write. Every statement of a script belongs to one
transaction.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from vsync_dagster.local_db.key_table.triggers import FUNCTIONS, LEDGER_TRIGGERS, enable, ledger, writing
from vsync_dagster.local_db.key_table.view import EntriesView, commas

_MEMBER = SQL("participant_ispb, key_type, entry_id, cid")

# The ledger is told what a change of the mapping adds to the participant's sets and takes out of them.
_BEFORE = SQL(
    """
create temporary table vsync_members_before on commit drop as
    select {member} from public.entries where status = 'ACTIVE'
"""
).format(member=_MEMBER)
_TELL = SQL(
    """
insert into public.cid_events (participant_ispb, key_type, entry_id, cid, event_type)
select gone.*, 'REMOVED' from (
    select {member} from vsync_members_before except select {member} from public.entries where status = 'ACTIVE'
) as gone
union all
select come.*, 'ADDED' from (
    select {member} from public.entries where status = 'ACTIVE' except select {member} from vsync_members_before
) as come
"""
).format(member=_MEMBER)

# Nobody saw the rows go: whatever the ledger holds last of an entry was in a set until then.
_TELL_ALL_GONE = SQL(
    """
insert into public.cid_events (participant_ispb, key_type, entry_id, cid, event_type)
select {member}, 'REMOVED' from (
    select distinct on (entry_id) {member}, event_type from public.cid_events order by entry_id, event_id desc
) as last
where event_type = 'ADDED'
"""
).format(member=_MEMBER)

_FORGET = SQL("drop table vsync_members_before")

_REMEMBER = """
insert into public.key_table (mapping, schema_name, table_name) values ({mapping}, {schema}, {table})
on conflict (only_one) do update
set mapping = excluded.mapping, schema_name = excluded.schema_name, table_name = excluded.table_name,
    attached_by = session_user, attached_at = now()
"""

_NOTHING_ATTACHED = SQL("delete from public.key_table")

# No sync may be at work: it would have looked at the other table.
_NO_SYNC = SQL("lock table public.sync_leases in share mode")


@dataclass(frozen=True, slots=True)
class Attached:
    """What is attached already: the table, as schema and name, and the names of our indexes on it."""

    table: tuple[str, str]
    indexes: frozenset[str]

    @property
    def identifier(self) -> Identifier:
        """The table's name in SQL."""
        return Identifier(*self.table)


@dataclass(frozen=True, slots=True)
class Script:
    """Composes the statements for one view.

    `owner` is who owns VSYNC's tables, `login` who runs the script, `roles` are those of VSYNC that there are, and
    `attached` what was attached before.
    """

    view: EntriesView
    owner: str
    login: str
    roles: tuple[str, ...]
    attached: Attached | None

    def attach(self) -> list[Composed]:
        """Return the statements that put the table in the place of `entries`."""
        return [_composed(statement) for statement in self._attach()]

    def _attach(self) -> Iterator[Composable]:
        yield _NO_SYNC
        yield _lock(self.view.name)
        if self.attached:
            yield _lock(self.attached.identifier)
        yield _BEFORE
        yield from self._without_what_was() if self.attached else self._set_aside()
        yield self.view.definition()
        for ours in ("created_at", "updated_at"):
            yield SQL("alter view public.entries alter column {} set default now()").format(Identifier(ours))
        yield from self.view.indexes().values()
        yield from ledger(self.view)
        yield from writing(self.view)
        yield _TELL
        yield _FORGET
        mapping = self.view.mapping
        yield SQL(_REMEMBER).format(
            mapping=Literal(mapping.text), schema=Literal(mapping.schema), table=Literal(mapping.table)
        )
        yield from self._rights()
        yield SQL("analyze {}").format(self.view.name)

    def _without_what_was(self) -> Iterator[Composable]:
        if self.attached:
            yield from _without_triggers(self.attached)
            yield from _without_indexes(self.attached, but=self.view.indexes())

    def _set_aside(self) -> Iterator[Composable]:
        """Yield what keeps our own table for the day of `detach`: nobody writes it, and it tells the ledger nothing."""
        for name in LEDGER_TRIGGERS:
            yield SQL("alter table public.entries disable trigger {}").format(Identifier(name))
        for role in self.roles:
            yield SQL("revoke all on public.entries from {}").format(Identifier(role))
        yield SQL("alter table public.entries rename to entries_set_aside")

    def _rights(self) -> Iterator[Composable]:
        owner = Identifier(self.owner)
        if self.login != self.owner:
            yield SQL("alter view public.entries owner to {}").format(owner)
            for name in FUNCTIONS:
                yield SQL("alter function public.{}() owner to {}").format(Identifier(name), owner)
        table = self.view.table
        if table.owner == self.owner:
            return
        # The view reads and writes as its owner, whoever uses it.
        written = commas(self.view.column(ours) for ours in table.columns if ours != "entry_id")
        yield SQL("grant usage on schema {} to {}").format(Identifier(self.view.mapping.schema), owner)
        yield SQL("grant select, insert ({0}), update ({0}) on {1} to {2}").format(written, self.view.name, owner)
        for sequence in table.sequences:
            yield SQL("grant usage on sequence {} to {}").format(Identifier(*sequence), owner)


def detach(attached: Attached) -> list[Composed]:
    """Return the statements that take the table out again and put our own, which is empty, back in its place."""
    return [_composed(statement) for statement in _detach(attached)]


def detach_dropped() -> list[Composed]:
    """Return the statements that put our own table back where the participant's was dropped, and the view with it."""
    return [_composed(statement) for statement in (_NO_SYNC, *_ours_again(), _TELL_ALL_GONE, _NOTHING_ATTACHED)]


def _detach(attached: Attached) -> Iterator[Composable]:
    yield _NO_SYNC
    yield _lock(attached.identifier)
    yield _BEFORE
    yield from _without_triggers(attached)
    yield from _without_indexes(attached, but=())
    yield SQL("drop view public.entries")
    yield from _ours_again()
    yield _TELL
    yield _FORGET
    yield _NOTHING_ATTACHED


def _ours_again() -> Iterator[Composable]:
    for name in FUNCTIONS:
        yield SQL("drop function public.{}()").format(Identifier(name))
    yield SQL("alter table public.entries_set_aside rename to entries")
    yield from (enable(Identifier("public", "entries"), name) for name in LEDGER_TRIGGERS)


def _lock(table: Identifier) -> Composed:
    # Writes wait, reads do not.
    return SQL("lock table {} in share row exclusive mode").format(table)


def _without_triggers(attached: Attached) -> Iterator[Composed]:
    for name in LEDGER_TRIGGERS:
        yield SQL("drop trigger if exists {} on {}").format(Identifier(name), attached.identifier)


def _without_indexes(attached: Attached, but: Iterable[str]) -> Iterator[Composed]:
    for name in sorted(attached.indexes - set(but)):
        yield SQL("drop index {}").format(Identifier(attached.table[0], name))


def _composed(statement: Composable) -> Composed:
    return statement if isinstance(statement, Composed) else Composed([statement])
