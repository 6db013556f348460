"""When a table is read by pages, that its pages are all of it, and what happens to it meanwhile."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsync_dagster.local_db import cid_pages
from vsync_dagster.local_db.cid_pages import RANGE_PAGES, Figures, PageRange, figures, page_ranges
from vsync_dagster.local_db.cid_rows import CidBlock
from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.local_db.errors import DatabaseUnavailableError
from vsync_dagster.local_db.ledger import events_since
from vsync_dagster.local_db.snapshot import read_snapshot
from vsync_dagster.reconcile.vsync import EMPTY_VSYNC, vsync
from vsync_dagster_tests.local_db.parts import ISPB, OTHER_ISPB, insert_all, make_entry, value
from vsync_dagster_tests.waiting import wait_until

BASE_TABLES = {
    "view": "alter table entries rename to keys; create view entries as select ctid, * from keys",
    # Strung together, a CID that is too long and one that is too short look like two.
    "without its check": "alter table entries drop constraint entries_cid_check",
    "inherited": "create table more () inherits (entries)",
    "partitioned": "alter table entries rename to keys; create table entries (like keys) partition by list (status);"
    "create table entries_active partition of entries default; insert into entries select * from keys",
}

_READERS = """
select pid from pg_stat_activity where application_name = 'vsync' and datname = current_database()
order by backend_start
"""


@given(st.integers(0, 400_000))
def test_the_ranges_are_the_table(pages: int) -> None:
    ranges = page_ranges(Figures(pages, 1_000, 1_000))
    assert ranges[0].start == 0
    assert [pair.stop for pair in ranges] == [*(pair.start for pair in ranges[1:]), None]
    assert all(pair.stop is None or pair.stop - pair.start == RANGE_PAGES for pair in ranges)
    assert ranges[-1].start <= pages <= ranges[-1].start + RANGE_PAGES


@pytest.mark.parametrize(
    ("known", "by_page"),
    [
        (Figures(250_000, 10_000_000, 10_000_000), True),
        (Figures(250_000, 10_000_000, 1_000_000), True),
        # One of hundreds in a shared table has an index.
        (Figures(250_000, 10_000_000, 999_999), False),
        (Figures(250_000, 10_000_000, 1), False),
        (Figures(None, 10_000_000, 10_000_000), False),
    ],
)
def test_a_table_is_read_by_page_for_whoever_fills_it(known: Figures, by_page: bool) -> None:
    assert bool(page_ranges(known)) is by_page


def shared_out(conn: Connection) -> None:
    """Give one participant 400 keys, the other 10; a view has the figures of its table."""
    insert_all(conn, [make_entry(n) for n in range(400)])
    insert_all(conn, [make_entry(n, participant=OTHER_ISPB) for n in range(1000, 1010)])
    conn.execute("analyze entries")


def test_the_figures_are_the_servers(conn: Connection) -> None:
    shared_out(conn)
    pages = value(conn, "select count(distinct (ctid::text::point)[0]) from entries")
    assert figures(conn, ISPB) == Figures(pages, 410, 400)
    assert figures(conn, OTHER_ISPB) == Figures(pages, 410, 10)
    assert figures(conn, "99999999").participants < 10


@pytest.mark.parametrize("kind", BASE_TABLES)
@pytest.mark.parametrize("integrity", [False, True])
def test_what_is_not_one_ordinary_table_of_cids_is_copied(database: Database, kind: str, integrity: bool) -> None:
    with database.connect() as conn:
        shared_out(conn)
        for statement in BASE_TABLES[kind].split(";"):
            conn.execute(statement.encode())
        assert page_ranges(figures(conn, ISPB)) == []
    facts = read_snapshot(database, ISPB, integrity=integrity)
    assert facts.key_types["CPF"] == (400, vsync(make_entry(n).cid() for n in range(400)))
    assert facts.tampered.height == 0


def test_a_range_is_never_planned_by_an_index(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without statistics the planner takes a participant for rare, and would read all its rows for each range."""
    plans: list[str] = []
    fetch = cid_pages._fetch

    def explained(reader: Connection, query: psycopg.sql.Composed) -> list[tuple[object, ...]]:
        plans.extend(line for [line] in reader.execute(psycopg.sql.SQL("explain ") + query))
        return fetch(reader, query)

    monkeypatch.setattr(cid_pages, "_SHARE", 0.0)
    monkeypatch.setattr(cid_pages, "RANGE_PAGES", 1)
    monkeypatch.setattr(cid_pages, "_fetch", explained)
    with database.connect() as conn:
        insert_all(conn, [make_entry(n) for n in range(100)])

    for integrity in (False, True):
        assert read_snapshot(database, ISPB, integrity=integrity).key_types["CPF"].entries == 100
    scans = {line.split("(cost")[0].strip(" ->") for line in plans if "Scan" in line and "Subquery" not in line}
    assert scans == {"Tid Range Scan on entries"}


def test_each_cid_is_recomputed_once(conn: Connection) -> None:
    """An expression that a query mentions twice is computed twice, though it is written once."""
    conn.execute(cid_pages._BY_PAGE)
    query = cid_pages._range(ISPB, PageRange(0, None), integrity=True)
    plan = " ".join(line for [line] in conn.execute(psycopg.sql.SQL("explain (verbose) ") + query))
    assert plan.count("IS DISTINCT FROM sha256") == 1


@pytest.fixture
def by_page(database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """A database whose table of ten pages or more is read in a range a page."""
    monkeypatch.setattr(cid_pages, "RANGE_PAGES", 1)
    with database.connect() as conn:
        insert_all(conn, [make_entry(n) for n in range(400)])
        conn.execute("analyze entries")
        assert len(page_ranges(figures(conn, ISPB))) > 10
    return database


def test_both_readers_see_the_one_snapshot(by_page: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is committed between the snapshot and the second connection is in neither half."""

    def changed(conn: Connection, ispb: str) -> Figures:
        with by_page.connect() as other:
            other.execute("update entries set cid = sha256(cid)")
            insert_all(other, [make_entry(n) for n in range(1000, 1400)])
        return figures(conn, ispb)

    monkeypatch.setattr(cid_pages, "figures", changed)
    facts = read_snapshot(by_page, ISPB)
    assert facts.key_types["CPF"] == (400, vsync(make_entry(n).cid() for n in range(400)))


def test_rows_beyond_the_pages_that_were_known_of_are_read(by_page: Database) -> None:
    with by_page.connect() as conn:
        ranges = page_ranges(Figures(2, 1, 1))
        assert ranges == [PageRange(0, 1), PageRange(1, None)]
        blocks = list(cid_pages.read(by_page, conn, ISPB, ranges, integrity=False))
    assert sum(len(block.cids) for block in blocks) == 400
    assert len(blocks) == 2


def test_the_table_is_neither_emptied_nor_rewritten_meanwhile(by_page: Database) -> None:
    refused: list[str | None] = []

    def write(_: CidBlock) -> None:
        for statement in () if refused else ("vacuum full entries", "truncate entries"):
            with psycopg.connect(by_page.url, autocommit=True) as other:
                other.execute("set lock_timeout = '100ms'")
                with pytest.raises(psycopg.errors.LockNotAvailable) as error:
                    other.execute(statement.encode())
                refused.append(error.value.sqlstate)

    facts = read_snapshot(by_page, ISPB, write_block=write)
    assert len(refused) == 2
    assert facts.key_types["CPF"].entries == 400


def test_a_truncation_that_comes_first_is_seen_whole(database: Database) -> None:
    """A snapshot from before it would find the table empty all the same, and the ledger would take all away again."""
    with database.connect() as conn:
        insert_all(conn, [make_entry(1)])
    with ThreadPoolExecutor(1) as pool, database.connect() as other:
        other.execute("lock table entries in access exclusive mode")
        reading = pool.submit(read_snapshot, database, ISPB)
        waits = "select exists (select from pg_locks where relation = 'entries'::regclass and not granted)"
        wait_until(lambda: reading.done() or value(other, waits), "the reader waits for no lock")
        other.execute("truncate entries")
        other.commit()
        facts = reading.result()
        assert facts.key_types["CPF"] == (0, EMPTY_VSYNC)
        assert events_since(other, ISPB, "CPF", facts.pg_snapshot) == []


@pytest.mark.parametrize("lost", [0, 1])
def test_a_reader_that_is_lost_ends_the_read(by_page: Database, lost: int) -> None:
    """Neither of the two connections can go missing unseen."""

    blocks: list[CidBlock] = []

    def write(block: CidBlock) -> None:
        blocks.append(block)
        if len(blocks) > 1:
            return
        with psycopg.connect(by_page.url, autocommit=True) as other:
            readers = other.execute(_READERS).fetchall()
            assert len(readers) == 2
            other.execute("select pg_terminate_backend(%s)", readers[lost])

    with pytest.raises(DatabaseUnavailableError):
        read_snapshot(by_page, ISPB, write_block=write)
