"""Reads a participant's rows page by page out of a table that holds little else, over two connections.

PostgreSQL sends a message a row, and a backend runs on one core. So each range of the table's pages comes as one row a
key type, its CIDs strung together, and two backends share the ranges, in one snapshot: several times as fast as COPY.
"""

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import Any, NamedTuple

import numpy as np
from psycopg import IsolationLevel
from psycopg.sql import SQL, Composed, Literal

from vsync_dagster.local_db.cid_rows import CidBlock, active_rows
from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.local_db.errors import DatabaseError

# 8 MiB of table: about 30,000 rows, and 1 MB of CIDs. A page holds 291 rows at most: never more than 10 MB.
RANGE_PAGES = 1_024
_READERS = 2
# Ranges asked for before they are needed: with fewer, a reader waits when we are kept from working.
_AHEAD = 6

# Where a tenth of the rows are the participant's, some of them are on almost every page, and an index spares none.
_SHARE = 0.1
_TID_RANGE_SCANS = 140_000  # as a server's version: PostgreSQL 14

# Only of a table of its own kind is it known that a row stands on one page, and that all of them are in it; and only
# where nothing else can be stored, that strung together each CID has its 32 bytes.
_PAGES = """
select pg_relation_size(c.oid) / current_setting('block_size')::int
from pg_class c join pg_am a on a.oid = c.relam
where c.oid = 'entries'::regclass and c.relkind = 'r' and c.relpersistence <> 't' and not c.relhassubclass
    and a.amname = 'heap' and exists (
        select from pg_constraint
        where conrelid = c.oid and convalidated and pg_get_constraintdef(oid) = 'CHECK ((octet_length(cid) = 32))'
    )
"""

# A plan by index would read the participant's rows anew for each range.
_BY_PAGE = """
select set_config(name, 'off', true)
from unnest(array['enable_seqscan', 'enable_indexscan', 'enable_indexonlyscan', 'enable_bitmapscan']) as name
"""

_RANGE = SQL("select key_type, count(*), string_agg(cid, ''), {tampered} from ({rows}) as rows group by key_type")
# In one: each mention of `tampered` recomputes the CID.
_TAMPERED = {
    True: SQL("string_agg(uuid_send(entry_id) || cid, '') filter (where tampered)"),
    False: SQL("null::bytea"),
}


class PageRange(NamedTuple):
    """Pages from `start` up to and without `stop`; None is the end of the table, wherever that is by then."""

    start: int
    stop: int | None


@dataclass(frozen=True, slots=True)
class Figures:
    """What decides how a table is read: its pages, or None where it is not read by pages; how many rows by estimate."""

    pages: int | None
    rows: float
    participants: float


def figures(conn: Connection, ispb: str) -> Figures:
    """Return what the server knows of `entries` and of a participant's part in it, without reading it.

    In a transaction whose snapshot is fixed and that holds a lock on `entries`: no row that it sees is then on a later
    page.
    """
    if conn.info.server_version < _TID_RANGE_SCANS:
        return Figures(None, 0, 0)
    row = conn.execute(_PAGES).fetchone()
    where = SQL("where participant_ispb = {} and status = 'ACTIVE'").format(Literal(ispb))
    return Figures(row[0] if row else None, _estimate(conn, SQL("")), _estimate(conn, where))


def _estimate(conn: Connection, where: SQL | Composed) -> float:
    row = conn.execute(SQL("explain (format json) select from entries {}").format(where)).fetchone()
    return float(row[0][0]["Plan"]["Plan Rows"]) if row else 0


def page_ranges(known: Figures) -> list[PageRange]:
    """Return the ranges to read the table in, from its first page to its end; none if it is not to be read by pages."""
    if known.pages is None or known.participants < _SHARE * known.rows:
        return []
    starts = range(0, max(known.pages, 1), RANGE_PAGES)
    return [PageRange(start, stop) for start, stop in zip(starts, [*starts[1:], None], strict=True)]


def read(
    database: Database, conn: Connection, ispb: str, ranges: Sequence[PageRange], *, integrity: bool
) -> Iterator[CidBlock]:
    """Yield all ACTIVE rows of a participant, in the snapshot of the connection's transaction, in the table's order.

    At most `_AHEAD` ranges and one are in memory. `conn` is to hold a lock on `entries`, so that no row moves to
    another page, and afterwards plans without indexes until the end of its transaction.

    Raises:
        DatabaseError: the bytes are not those of the rows counted with them, or a row has no key type.
    """
    with _readers(database, conn, min(_READERS, len(ranges))) as readers:
        queries = [_range(ispb, pages, integrity) for pages in ranges]
        with closing(_in_order(readers, queries)) as answers:
            for rows in answers:
                for row in rows:
                    yield _block(*row)


@contextmanager
def _readers(database: Database, conn: Connection, count: int) -> Iterator[list[Connection]]:
    """Yield the connection, and as many more in the same snapshot as make `count`."""
    with ExitStack() as stack:
        readers = [conn, *(stack.enter_context(database.connect(bulk=True)) for _ in range(count - 1))]
        snapshot = conn.execute("select pg_export_snapshot()").fetchall()[0][0]
        for reader in readers[1:]:
            reader.isolation_level, reader.read_only = IsolationLevel.REPEATABLE_READ, True
            reader.execute(SQL("set transaction snapshot {}").format(Literal(snapshot)))
        for reader in readers:
            reader.execute(_BY_PAGE)
        yield readers


def _in_order(readers: Sequence[Connection], queries: Sequence[Composed]) -> Generator[list[tuple[Any, ...]]]:
    """Yield the rows of each query, while each reader is at work on one of those that follow."""
    with ExitStack() as stack:
        workers = [stack.enter_context(ThreadPoolExecutor(1)) for _ in readers]
        waiting: deque[Future[list[tuple[Any, ...]]]] = deque()
        stack.callback(lambda: [future.cancel() for future in waiting])
        for query, reader, worker in zip(queries, cycle(readers), cycle(workers), strict=False):
            waiting.append(worker.submit(_fetch, reader, query))
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _fetch(reader: Connection, query: Composed) -> list[tuple[Any, ...]]:
    return reader.execute(query, binary=True).fetchall()


def _range(ispb: str, pages: PageRange, integrity: bool) -> Composed:
    among = SQL("ctid >= {}::tid").format(Literal(f"({pages.start},0)"))
    if pages.stop is not None:
        among += SQL(" and ctid < {}::tid").format(Literal(f"({pages.stop},0)"))
    return _RANGE.format(rows=active_rows(ispb, integrity=integrity, among=among), tampered=_TAMPERED[integrity])


def _block(key_type: str | None, count: int, cids: bytes | None, tampered: bytes | None) -> CidBlock:
    if key_type is None:
        raise DatabaseError("the database holds rows without a key type")
    cids, tampered = cids or b"", tampered or b""
    if len(cids) != 32 * count or len(tampered) % 48:
        raise DatabaseError("the database sent other bytes than those of the rows it counted")
    rows = np.frombuffer(tampered, np.uint8).reshape(-1, 48)
    return CidBlock(key_type, np.frombuffer(cids, np.uint8).reshape(count, 32), rows[:, :16], rows[:, 16:])
