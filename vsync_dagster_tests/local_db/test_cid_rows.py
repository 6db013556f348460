"""What PostgreSQL recomputes of a row is the CID that `compute_cid` gives."""

from dataclasses import replace
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import psycopg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.sql import SQL, Identifier

from vsync_dagster.local_db.cid_rows import active_rows
from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.local_db.migrate import migrate
from vsync_dagster.local_db.snapshot import read_snapshot
from vsync_dagster.reconcile.entry import Entry
from vsync_dagster.simulator.local_base import seed_local
from vsync_dagster_tests.local_db.parts import ISPB, insert, make_entry

# All that PostgreSQL's text can hold.
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
ATTRIBUTES = ("key_type", "key", "owner_tax_id", "owner_name", "account_number", "account_type")
ENTRIES = st.lists(
    st.builds(
        lambda texts, nullable, request_id: replace(
            make_entry(1), **dict(zip(ATTRIBUTES, texts, strict=True)), **nullable, request_id=request_id
        ),
        st.tuples(*[ANY_TEXT] * len(ATTRIBUTES)),
        st.fixed_dictionaries({name: st.none() | ANY_TEXT for name in ("branch", "owner_trade_name")}),
        st.uuids() | st.sampled_from([UUID(int=0), UUID(int=2**128 - 1), UUID("36" * 16), UUID("5c" * 16)]),
    ),
    unique_by=(lambda entry: entry.key, Entry.cid),
    max_size=20,
)


def tampered(conn: Connection) -> dict[bytes, bool]:
    query = SQL("select cid, tampered from ({}) as rows").format(active_rows(ISPB, integrity=True))
    return dict(conn.execute(query).fetchall())


@given(ENTRIES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_it_is_the_same_for_any_attributes(database: Database, entries: list[Entry]) -> None:
    with database.connect() as conn:
        seed_local(conn, entries)
        assert tampered(conn) == {entry.cid(): False for entry in entries}
        conn.rollback()


@given(ENTRIES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_rows_with_the_cids_of_others_are_told(database: Database, entries: list[Entry]) -> None:
    cids = [entry.cid() for entry in entries]
    theirs = [*cids[1:], *cids[:1]]
    with database.connect() as conn:
        for entry, cid in zip(entries, theirs, strict=True):
            insert(conn, entry, cid=cid)
        assert tampered(conn) == dict.fromkeys(cids, len(cids) > 1)
        conn.rollback()


def test_a_row_without_what_it_needs_is_tampered_with(conn: Connection) -> None:
    conn.execute("alter table entries alter request_id drop not null, alter owner_name drop not null")
    ids = [insert(conn, make_entry(n)) for n in range(3)]
    conn.execute("update entries set request_id = null where entry_id = %s", [ids[0]])
    conn.execute("update entries set owner_name = null where entry_id = %s", [ids[1]])
    assert tampered(conn) == {make_entry(n).cid(): n < 2 for n in range(3)}


def test_a_database_of_another_encoding_gives_the_same(postgres_url: str) -> None:
    name = f"vsync_test_{uuid4().hex}"
    with psycopg.connect(postgres_url, autocommit=True) as server:
        server.execute(
            SQL("create database {} template template0 encoding 'LATIN1' locale 'C'").format(Identifier(name))
        )
        try:
            database = Database(urlsplit(postgres_url)._replace(path=f"/{name}").geturl())
            migrate(database)
            with database.connect() as conn:
                insert(conn, make_entry(1, owner_name="João Araújo"))
                insert(conn, make_entry(2, owner_name="João Araújo"), cid=make_entry(3).cid())
            facts = read_snapshot(database, ISPB, integrity=True)
            assert facts.key_types["CPF"].entries == 2
            assert facts.tampered["cid"].to_list() == [make_entry(3).cid()]
        finally:
            server.execute(SQL("drop database {} with (force)").format(Identifier(name)))
