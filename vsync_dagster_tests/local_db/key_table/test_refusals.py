"""What is not attached, or not synced any more, and what is said of it."""

import pytest

from vsync_dagster.local_db import leases
from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.local_db.key_table.attach import attach
from vsync_dagster.local_db.key_table.check import require_same_table
from vsync_dagster.local_db.key_table.mapping import KeyMappingError, parse
from vsync_dagster.local_db.leases import Fence
from vsync_dagster.reconcile.errors import RefusedError
from vsync_dagster_tests.local_db.key_table.parts import A_REQUEST, ISPB, THEIR_KEY, entry
from vsync_dagster_tests.local_db.parts import RUN, insert, value
from vsync_dagster_tests.their_table import MAPPING, TABLE


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("drop column nome", "it has no column nome for owner_name: name another in .columns., or add one .text."),
        ("alter column documento type bigint using null", "documento .owner_tax_id. is bigint; leading zeros count"),
        ("alter column cid type text[] using null", "cid .cid. is text..; it has to be bytea"),
        ("alter column solicitacao type int using null", "solicitacao .request_id. is integer; it has to be uuid"),
        ("alter column aberta_em type date", "aberta_em .account_opened_at. is date; it has to be timestamptz"),
        ("alter column id type numeric", "id .entry_id. is numeric; it has to be uuid, bigint"),
        ("alter column situacao drop not null", "situacao .status. may be null"),
        ("alter column nome_fantasia set not null", "nome_fantasia .owner_trade_name. is not null, and there are"),
        ("alter column id drop identity", "id .entry_id. has no default"),
        ("alter column canal drop default", "its column canal is not null and has no default"),
        ("enable row level security", "it has row security"),
        ("add column filha int, drop column agencia", "it has no column agencia for branch"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_with_what_to_mend(database: Database, change: str, told: str) -> None:
    with database.connect() as conn:
        conn.execute(TABLE.encode())
        if "numeric" in change:
            conn.execute("alter table core.pix_keys alter column id drop identity")
        conn.execute(f"alter table core.pix_keys {change}".encode())
        with pytest.raises(KeyMappingError, match=f"core.pix_keys cannot be synced in place: .*{told}"):
            attach(conn, parse(MAPPING))
        assert value(conn, "select relkind::text from pg_class where oid = 'entries'::regclass") == "r"


def test_everything_that_is_wrong_is_told_at_once(database: Database) -> None:
    with database.connect() as conn:
        conn.execute(TABLE.encode())
        conn.execute("alter table core.pix_keys drop column nome, drop column cid")
        with pytest.raises(KeyMappingError, match=r"nome for owner_name.*; it has no column cid"):
            attach(conn, parse(MAPPING.replace('time_zone = "UTC"', "")))


@pytest.mark.parametrize(
    ("made", "told"),
    [
        ("create view core.pix_keys as select 1 as id", "it is no ordinary table"),
        ("create table core.pix_keys (id int) partition by hash (id)", "it is partitioned"),
        ("create table core.parent (id int); create table core.pix_keys () inherits (core.parent)", "inherits"),
        ("select 1", "there is no table core.pix_keys in this database"),
    ],
)
def test_what_is_no_ordinary_table_is_refused(database: Database, made: str, told: str) -> None:
    with database.connect() as conn:
        conn.execute(f"create schema core; {made}".encode())
        with pytest.raises(KeyMappingError, match=told):
            attach(conn, parse(MAPPING))


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ([("+551190001", 1), ("+551190001", 2)], "hold the same key"),
        ([("+551190001", 1), ("+551190002", 1)], "hold the same CID"),
    ],
)
def test_rows_that_are_not_unique_are_refused(database: Database, keys: list[tuple[str, int]], told: str) -> None:
    with database.connect() as conn:
        conn.execute(TABLE.encode())
        for key, number in keys:
            conn.execute(THEIR_KEY, [key, A_REQUEST, entry(number).cid().hex(), 1])
        conn.commit()
        with pytest.raises(KeyMappingError, match=f"two rows of core.pix_keys {told}"):
            attach(conn, parse(MAPPING))


def test_a_status_that_no_word_stands_for_is_refused_and_not_quoted(database: Database) -> None:
    with database.connect() as conn:
        conn.execute(TABLE.encode())
        for number in (1, 2):
            conn.execute(THEIR_KEY, [f"+55119000{number}", A_REQUEST, entry(number).cid().hex(), 770 + number])
        with pytest.raises(
            KeyMappingError, match=r"situacao of core.pix_keys has 2 values .* \[words.status\]"
        ) as told:
            attach(conn, parse(MAPPING))
    assert "771" not in str(told.value)


def test_our_own_table_gives_way_only_while_it_is_empty(database: Database) -> None:
    with database.connect() as conn:
        insert(conn, entry(1))
        conn.execute(TABLE.encode())
        with pytest.raises(RefusedError, match="only as long as it is empty"):
            attach(conn, parse(MAPPING))


def test_nothing_is_attached_while_a_sync_is_at_work(database: Database) -> None:
    with database.connect() as conn:
        conn.execute(TABLE.encode())
        assert leases.acquire(conn, Fence(ISPB, RUN), "here", 60)
    with database.connect() as conn, pytest.raises(RefusedError, match="a sync is at work"):
        attach(conn, parse(MAPPING))
    with database.connect() as conn:
        leases.release(conn, Fence(ISPB, RUN))
        attach(conn, parse(MAPPING))


def test_a_table_that_took_the_place_of_theirs_is_not_taken_for_it(conn: Connection) -> None:
    require_same_table(conn)
    conn.execute("alter table core.pix_keys rename to pix_keys_before")
    for _ in range(2):
        with pytest.raises(RefusedError, match="`vsync key-table attach` it again"):
            require_same_table(conn)
        conn.execute("create table core.pix_keys (like core.pix_keys_before including all)") if _ == 0 else None
