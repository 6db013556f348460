"""Finds what was changed, taken away or slipped in among the reports and the steps of reviews.

Triggers chain the rows of each participant: a row's number follows the one before, and its hash is over that one's hash
and its own content. A report is also bound to what its run has left in other tables, and to what killed runs before it
have; an item's first step is bound to the item. Whoever owns the database could write a whole chain anew: only heads
that were kept elsewhere tell that.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row
from psycopg.sql import SQL, Composed, Identifier

from vsync_dagster.local_db.database import Connection

_CHAINS = """
select table_name, participant_ispb, head_number, head_hash, start_number, start_signed_by, start_signed_at
from evidence_chains where %(ispb)s::text is null or participant_ispb = %(ispb)s order by table_name, participant_ispb
"""

# Of the rows themselves: whoever writes a report may not read `evidence_chains`.
_HEADS = """
(select 'sync_reports' as table_name, participant_ispb, chain_number as number, chain_hash as hash from sync_reports
where participant_ispb = %(ispb)s order by chain_number desc limit 1)
union all
(select 'review_trail', participant_ispb, chain_number, chain_hash from review_trail
where participant_ispb = %(ispb)s order by chain_number desc limit 1)
"""

_PLACE = """
select chain_number as number, chain_hash as hash, coalesce((
    select sum((seal ->> 'rows')::bigint) from (
        select value as seal from jsonb_each(evidence - 'left_behind')
        union all
        select e.value from jsonb_each(evidence -> 'left_behind') as behind, jsonb_each(behind.value -> 'evidence') as e
    ) as seals
), 0)::bigint as sealed_rows
from sync_reports where id = %s
"""

# `fits` is null where the row before is missing: then nothing can be said of the hash.
_LINKS = SQL(
    """
    select participant_ispb, id::text as row_id, chain_number as number, chain_hash as hash,
        chain_hash = chain_hash(before, {content}(whole)) as fits, {others} as others
    from (
        select t as whole, t.*, case coalesce(lag(t.chain_number) over chain, start_number, 0)
            when t.chain_number - 1 then coalesce(lag(t.chain_hash) over chain, start_hash, '') end as before
        from {table} t
        left join evidence_chains c on c.table_name = {name} and c.participant_ispb = t.participant_ispb
        where %(ispb)s::char(8) is null or t.participant_ispb = %(ispb)s::char(8)
        window chain as (partition by t.participant_ispb order by t.chain_number, t.id)
    ) as link
    where %(row_id)s::text is null or id::text = %(row_id)s
    order by participant_ispb, chain_number, id
    """
)
# What else a row is bound to and does not fit any more.
_EVIDENCE_OF_RUNS = SQL(
    """
    array(
        select format('%%s of %%s: %%s rows when it was written, %%s now', name, whose,
            coalesce(sealed -> name ->> 'rows', '0'), coalesce(found -> name ->> 'rows', '0'))
        from (
            select 'its run' as whose, evidence - 'left_behind' as sealed, run_evidence(run_id) as found
            union all
            select 'the killed run ' || run, seal -> 'evidence', run_evidence(run, (seal ->> 'last_call')::bigint)
            from jsonb_each(evidence -> 'left_behind') as behind (run, seal)
        ) as runs, jsonb_object_keys(sealed || found) as name
        where sealed -> name is distinct from found -> name
    )
    """
)
_ITEM = SQL(
    """
    case when item_digest is distinct from review_item_digest(item_id) and item_digest is not null
        then array['its item ' || item_id] else '{{}}' end
    """
)


def _links(table: str, content: str, others: SQL | Composed) -> Composed:
    return _LINKS.format(table=Identifier(table), name=table, content=Identifier(content), others=others)


_LINKS_OF = {
    "review_trail": _links("review_trail", "trail_content", _ITEM.format()),
    "sync_reports": _links("sync_reports", "report_content", _EVIDENCE_OF_RUNS),
}
TABLES = tuple(_LINKS_OF)


@dataclass(frozen=True, slots=True)
class Chain:
    """A participant's chain in one table: its last row, and after which number it begins since retention has deleted.

    `start_signed_by` is the login that deleted, None where nothing was deleted yet.
    """

    table_name: str
    participant_ispb: str
    head_number: int
    head_hash: bytes
    start_number: int
    start_signed_by: str | None
    start_signed_at: datetime | None


@dataclass(frozen=True, slots=True)
class KnownHead:
    """A head as it was at some time: a witness where it is kept where whoever owns the database cannot write."""

    table_name: str
    participant_ispb: str
    number: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Finding:
    """What does not fit. `row_id` is the row's, or None where it is the row itself that is missing."""

    table_name: str
    participant_ispb: str
    row_id: str | None
    problem: str


@dataclass(frozen=True, slots=True)
class Place:
    """A report's place in its participant's chain, and of how many rows in other tables it holds a digest."""

    number: int
    hash: bytes
    sealed_rows: int


@dataclass(frozen=True, slots=True)
class _Link:
    participant_ispb: str
    row_id: str
    number: int
    hash: bytes
    fits: bool | None
    others: Sequence[str]


def chains(conn: Connection, ispb: str | None = None) -> list[Chain]:
    """Return the chains of a participant or of all, as they are now."""
    with conn.cursor(row_factory=class_row(Chain)) as cursor:
        return cursor.execute(_CHAINS, {"ispb": ispb}).fetchall()


def heads(conn: Connection, ispb: str) -> list[KnownHead]:
    """Return the last rows of a participant's chains, those that the transaction itself has written included."""
    with conn.cursor(row_factory=class_row(KnownHead)) as cursor:
        return cursor.execute(_HEADS, {"ispb": ispb}).fetchall()


def place_of(conn: Connection, report_id: UUID) -> Place:
    """Return where a report stands in its chain; there must be one of that id."""
    with conn.cursor(row_factory=class_row(Place)) as cursor:
        cursor.execute(_PLACE, [report_id])
        place = cursor.fetchone()
    assert place is not None  # noqa: S101 - whoever asks has read the report
    return place


def verify_report(conn: Connection, ispb: str, report_id: UUID) -> list[Finding]:
    """Return what does not fit of one report: itself, the hash before it, or what it has sealed.

    The rest of the chain is not looked at: `verify` does that.
    """
    chain = next((each for each in chains(conn, ispb) if each.table_name == "sync_reports"), None)
    findings: list[Finding] = []
    with conn.cursor(row_factory=class_row(_Link)) as cursor:
        for link in cursor.execute(_LINKS_OF["sync_reports"], {"ispb": ispb, "row_id": str(report_id)}):
            before = replace(link, number=link.number - 1)
            findings += _problems("sync_reports", link, before, chain)
            if link.fits is None:
                findings.append(Finding("sync_reports", ispb, None, _missing(before.number, before.number)))
            if chain and link.number == chain.head_number:
                findings += _end(chain, link)
    return findings


def verify(conn: Connection, ispb: str | None = None, known: Sequence[KnownHead] = ()) -> Iterator[Finding]:
    """Yield everything that does not fit, of one participant or of all.

    Args:
        known: heads that were kept elsewhere, any number of each chain; each must still be in it.
    """
    conn.execute("set transaction isolation level repeatable read, read only")  # a sync may write in the meantime
    found = {(chain.table_name, chain.participant_ispb): chain for chain in chains(conn, ispb)}
    kept: dict[tuple[str, str, int], set[bytes]] = {}
    for head in known:
        kept.setdefault((head.table_name, head.participant_ispb, head.number), set()).add(head.hash)
    for table in TABLES:
        last: dict[str, _Link] = {}
        with conn.cursor(name="links", row_factory=class_row(_Link)) as cursor:
            for link in cursor.execute(_LINKS_OF[table], {"ispb": ispb, "row_id": None}):
                chain = found.get((table, link.participant_ispb))
                yield from _problems(table, link, last.get(link.participant_ispb), chain)
                if kept.pop((table, link.participant_ispb, link.number), {link.hash}) != {link.hash}:
                    yield Finding(table, link.participant_ispb, link.row_id, "the chain was written anew up to it")
                last[link.participant_ispb] = link
        for (name, participant), chain in found.items():
            if name == table:
                yield from _end(chain, last.get(participant))
    yield from _unknown(kept, found)


def _problems(table: str, link: _Link, before: _Link | None, chain: Chain | None) -> Iterator[Finding]:
    def finding(problem: str, row_id: str | None = link.row_id) -> Finding:
        return Finding(table, link.participant_ispb, row_id, problem)

    start = chain.start_number if chain else 0
    expected = (before.number if before else start) + 1
    if link.number > expected:
        yield finding(_missing(expected, link.number - 1), None)
    if link.number < expected or chain is None or link.number > chain.head_number:
        yield finding("inserted: it was not written as the chain's rows are")
    elif link.fits is False:
        yield finding("changed, or the one before it was")
    for other in link.others:
        yield finding(f"{other}: not what it was")


def _end(chain: Chain, last: _Link | None) -> Iterator[Finding]:
    number = last.number if last else chain.start_number
    if number < chain.head_number:
        problem = _missing(number + 1, chain.head_number)
        yield Finding(chain.table_name, chain.participant_ispb, None, problem)
    elif last and number == chain.head_number and last.hash != chain.head_hash:
        yield Finding(chain.table_name, chain.participant_ispb, last.row_id, "changed: it is not the head it was")


def _unknown(kept: Collection[tuple[str, str, int]], found: Mapping[tuple[str, str], Chain]) -> Iterator[Finding]:
    for table, participant, number in kept:
        chain = found.get((table, participant))
        if chain is None or number > chain.start_number:
            yield Finding(table, participant, None, _missing(number, number))


def _missing(first: int, last: int) -> str:
    return f"row {first} is missing" if first == last else f"rows {first} to {last} are missing"
