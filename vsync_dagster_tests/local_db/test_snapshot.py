"""The one consistent read: blocks, VSyncs, tampered rows, and what happens beside it."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from psycopg.sql import SQL

from vsync_dagster.local_db import cid_pages, cid_stream, ledger, review
from vsync_dagster.local_db.cid_rows import CidBlock
from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.local_db.errors import DatabaseError
from vsync_dagster.local_db.review import ReviewItem
from vsync_dagster.local_db.snapshot import SCHEMA, read_snapshot
from vsync_dagster.reconcile.entry import Entry
from vsync_dagster.reconcile.keys import KeyType
from vsync_dagster.reconcile.vsync import EMPTY_VSYNC, vsync
from vsync_dagster_tests.local_db.parts import ISPB, OTHER_ISPB, RUN, insert, insert_all, make_entry, value

Row = tuple[str, bytes]


def population(count: int) -> list[Entry]:
    """Entries of all five key types, in turn."""
    types = list(KeyType)
    return [
        make_entry(
            n, key_type=types[n % 5], key=f"key-{n}", branch=None if n % 3 else "0000", owner_trade_name="Açaí & Cia"
        )
        for n in range(count)
    ]


def fill(database: Database, entries: list[Entry]) -> list[UUID]:
    """Add active entries, and others that are none of the participant's active ones."""
    with database.connect() as conn:
        ids = insert_all(conn, entries)
        insert(conn, make_entry(9001), status="PENDING")
        insert(conn, make_entry(9002), status="DELETED")
        insert(conn, make_entry(9003, participant=OTHER_ISPB))
    return ids


def expected(entries: list[Entry]) -> set[Row]:
    return {(entry.key_type, entry.cid()) for entry in entries}


def rows(blocks: list[CidBlock]) -> list[Row]:
    return [(block.key_type, cid.tobytes()) for block in blocks for cid in block.cids]


@pytest.fixture(params=["copied", "by page"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each test reads both ways, in blocks of few rows."""
    # No participant fills a table twice over, and each fills none of it.
    monkeypatch.setattr(cid_pages, "_SHARE", 2.0 if request.param == "copied" else 0.0)
    monkeypatch.setattr(cid_pages, "RANGE_PAGES", 1)
    monkeypatch.setattr(cid_stream, "BLOCK_ROWS", 7)
    return str(request.param)


@pytest.mark.parametrize("integrity", [False, True])
def test_every_active_row_is_read_once(database: Database, integrity: bool) -> None:
    entries = population(150)
    fill(database, entries)
    blocks: list[CidBlock] = []
    facts = read_snapshot(database, ISPB, integrity=integrity, write_block=blocks.append)

    assert all(len(block.cids) > 0 and not len(block.tampered_ids) for block in blocks)
    assert len(blocks) > len(KeyType)
    assert len(rows(blocks)) == 150
    assert set(rows(blocks)) == expected(entries)
    assert facts.tampered.schema == SCHEMA
    assert facts.tampered.height == 0
    for key_type in KeyType:
        cids = [entry.cid() for entry in entries if entry.key_type == key_type]
        assert facts.key_types[key_type] == (30, vsync(cids))
    assert list(facts.key_types) == [key_type.value for key_type in KeyType]


@pytest.mark.parametrize("integrity", [False, True])
def test_an_empty_participant(database: Database, integrity: bool) -> None:
    blocks: list[CidBlock] = []
    facts = read_snapshot(database, ISPB, integrity=integrity, write_block=blocks.append)
    assert blocks == []
    assert facts.key_types == {key_type.value: (0, EMPTY_VSYNC) for key_type in KeyType}
    assert facts.under_review == []


def test_facts_alone_need_nobody_to_write_to(database: Database) -> None:
    fill(database, population(10))
    assert sum(held.entries for held in read_snapshot(database, ISPB).key_types.values()) == 10


@pytest.mark.parametrize("integrity", [False, True])
def test_a_key_type_of_tomorrow_is_carried_along(database: Database, integrity: bool) -> None:
    entries = [make_entry(1), make_entry(2, key_type="IRIS"), make_entry(3, key_type="cpf")]
    fill(database, entries)
    blocks: list[CidBlock] = []
    facts = read_snapshot(database, ISPB, integrity=integrity, write_block=blocks.append)
    assert set(rows(blocks)) == expected(entries)
    assert list(facts.key_types) == [*(key_type.value for key_type in KeyType), "IRIS", "cpf"]
    assert facts.key_types["IRIS"] == (1, entries[1].cid())


@pytest.mark.parametrize(
    ("loosened", "broken"),
    [
        # One CID longer and one shorter have the right length together.
        (
            "drop constraint entries_cid_check",
            "cid = case right(key, 1) when '1' then cid || 'x' else substr(cid, 2) end",
        ),
        ("alter cid drop not null", "cid = null"),
        ("alter key_type drop not null", "key_type = null"),
    ],
)
def test_rows_of_another_shape_stop_the_read(database: Database, loosened: str, broken: str) -> None:
    fill(database, [make_entry(1), make_entry(2)])
    with database.connect() as conn:
        conn.execute(f"alter table entries disable trigger user, {loosened}".encode())
        conn.execute(SQL("update entries set {} where participant_ispb = {}").format(SQL(broken), ISPB))
    with pytest.raises(DatabaseError):
        read_snapshot(database, ISPB)


TAMPERING = [
    "owner_name = 'Joao da Silva'",
    "owner_name = owner_name || ' '",
    "owner_trade_name = 'x'",
    "branch = '1'",
    "branch = null",
    "account_number = '1'",
    "account_type = 'SVGS'",
    "owner_tax_id = '1'",
    "key = 'other'",
    "key_type = 'PHONE'",
    "request_id = gen_random_uuid()",
    "cid = sha256(cid)",
]


def test_rows_that_do_not_hash_to_their_cid_are_found(database: Database) -> None:
    ids = fill(database, [make_entry(n) for n in range(2 * len(TAMPERING))])
    with database.connect() as conn:
        for change, entry_id in zip(TAMPERING, ids[::2], strict=True):
            conn.execute(SQL("update entries set {} where entry_id = {}").format(SQL(change), entry_id))
        now = conn.execute(
            "select key_type, uuid_send(entry_id), cid from entries where entry_id = any(%s)", [ids[::2]]
        )
        tampered = set(now.fetchall())
    facts = read_snapshot(database, ISPB, integrity=True)
    assert facts.tampered.height == len(TAMPERING)
    assert set(facts.tampered.rows()) == tampered
    assert read_snapshot(database, ISPB, integrity=False).tampered.height == 0


def test_what_a_cid_does_not_cover_is_no_tampering(database: Database) -> None:
    fill(database, [make_entry(1, branch=None)])
    with database.connect() as conn:
        conn.execute("update entries set owner_type = 'x', created_at = now(), updated_at = now(), branch = ''")
    assert read_snapshot(database, ISPB, integrity=True).tampered.height == 0


def test_blocks_and_facts_are_of_one_moment(database: Database) -> None:
    entries = [make_entry(n) for n in range(200)]
    ids = fill(database, entries)
    blocks: list[CidBlock] = []

    def write(block: CidBlock) -> None:
        if not blocks:
            with database.connect() as conn:
                conn.execute("update entries set cid = sha256(cid) where entry_id = any(%s)", [ids[5:]])
                conn.execute("delete from entries where entry_id = any(%s)", [ids[:2]])
                insert_all(conn, [make_entry(n) for n in range(1000, 1100)])
        blocks.append(block)

    before = datetime.now(UTC)
    facts = read_snapshot(database, ISPB, write_block=write)
    assert set(rows(blocks)) == expected(entries)
    assert facts.key_types["CPF"] == (200, vsync(entry.cid() for entry in entries))
    # Embedded or beside us, the server's clock is ours.
    assert abs(facts.taken_at - before) < timedelta(seconds=5)
    with database.connect() as conn:
        missed = ledger.events_since(conn, ISPB, "CPF", facts.pg_snapshot)
        assert len(missed) == 2 * 195 + 2 + 100
        assert all(event.occurred_at >= facts.taken_at for event in missed)
        assert facts.cluster == ledger.cluster_id(conn)


def test_an_error_of_the_writer_comes_out_as_it_is(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    fill(database, [make_entry(n) for n in range(200)])

    def full_disk(_: CidBlock) -> None:
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        read_snapshot(database, ISPB, write_block=full_disk)
    assert caplog.messages == []


def test_what_is_under_review_is_of_the_same_moment(database: Database) -> None:
    ids = fill(database, [make_entry(1), make_entry(2)])
    with database.connect() as conn:
        review.queue(conn, RUN, ISPB, [ReviewItem(ids[0], "CPF", make_entry(1).cid(), "reason", {})])
    [item] = read_snapshot(database, ISPB).under_review
    assert (item.key_type, item.entry_id, item.cid) == ("CPF", ids[0], make_entry(1).cid())


def test_the_read_writes_nothing(database: Database) -> None:
    with database.connect() as conn:
        before = value(conn, "select pg_current_xact_id()::text::bigint")
    fill_free = read_snapshot(database, ISPB, integrity=True)
    assert fill_free.pg_snapshot
    with database.connect() as conn:
        assert value(conn, "select pg_current_xact_id()::text::bigint") == before + 1


def test_an_ordinary_role_can_read_the_cluster(conn: Connection) -> None:
    mine = ledger.cluster_id(conn)
    role = f"reader_{uuid4().hex}"
    conn.execute(f"create role {role}".encode())
    conn.execute(f"set local role {role}".encode())
    assert ledger.cluster_id(conn) == mine
    assert mine.count("/") == 1
    conn.rollback()
