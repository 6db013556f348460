"""Attaching a key table, looking after it, and taking it out again."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from vsync_dagster.local_db import migrate as migrations
from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.local_db.key_table.attach import attach, attached_table, build_indexes, detach
from vsync_dagster.local_db.key_table.check import count, findings, require_same_table, sample
from vsync_dagster.local_db.key_table.mapping import KeyMappingError, parse
from vsync_dagster.reconcile.errors import PermanentError, RefusedError
from vsync_dagster_tests.local_db.key_table.parts import A_REQUEST, EVENTS, ISPB, THEIR_KEY, entry
from vsync_dagster_tests.local_db.parts import afresh, insert, rows, value
from vsync_dagster_tests.local_db.test_fixes_concurrent import WAITING
from vsync_dagster_tests.their_table import MAPPING, TABLE, attach_theirs
from vsync_dagster_tests.waiting import wait_until

INDEXES = """
select indexrelid::regclass::text, indexrelid from pg_index
where indexrelid::regclass::text like 'core.vsync_keys_%%' order by 1
"""


def test_detached_it_is_theirs_as_it_was(conn: Connection) -> None:
    conn.execute(THEIR_KEY, ["+551190001", A_REQUEST, entry(1).cid().hex(), 1])
    conn.execute("delete from cid_events")

    detach(conn)

    assert [row[::3] for row in rows(conn, EVENTS)] == [("REMOVED", entry(1).cid())]
    assert value(conn, "select count(*) from core.pix_keys") == 1
    assert value(conn, "select count(*) from entries") == 0
    of_ours = "select count(*) from pg_depend d join pg_class c on c.oid = d.refobjid where c.relname = 'pix_keys'"
    assert value(conn, f"{of_ours} and d.classid = 'pg_trigger'::regclass") == 0
    assert value(conn, "select count(*) from pg_indexes where tablename = 'pix_keys'") == 1
    entry_id = insert(conn, entry(2))
    assert rows(conn, EVENTS)[1:] == [("ADDED", "CPF", entry_id, entry(2).cid())], "our own triggers are in force"
    with pytest.raises(PermanentError, match="no table is attached"):
        detach(conn)


def test_a_table_that_was_dropped_is_attached_again_when_it_is_back(conn: Connection) -> None:
    """From a backup that lacks a key. `cascade` takes the view with the table, and no trigger sees a row go."""
    conn.execute("create table core.backup (like core.pix_keys including all)")
    for number in (1, 2, 3):
        conn.execute(THEIR_KEY, [f"+55119000{number}", A_REQUEST, entry(number).cid().hex(), 1])
    conn.execute("delete from core.pix_keys where pix_key = '+551190003'")
    conn.execute("insert into core.backup overriding system value select * from core.pix_keys where id = 1")
    conn.execute("drop table core.pix_keys cascade")
    for refused in (require_same_table, attached_table):
        with pytest.raises(RefusedError, match="was dropped, and entries with it: `vsync key-table detach`"):
            refused(conn)

    detach(conn)
    assert value(conn, "select count(*) from entries") == 0
    conn.execute("alter table core.backup rename to pix_keys")
    attach(conn, parse(MAPPING))

    first, second, third = (entry(number).cid() for number in (1, 2, 3))
    told = [row[::3] for row in rows(conn, EVENTS)]
    assert told[:4] == [("ADDED", first), ("ADDED", second), ("ADDED", third), ("REMOVED", third)]
    assert sorted(told[4:6]) == sorted([("REMOVED", first), ("REMOVED", second)])
    assert told[6:] == [("ADDED", first)]
    assert list(findings(conn)) == []
    conn.execute("update core.pix_keys set situacao = 9")
    assert rows(conn, EVENTS)[-1][::3] == ("REMOVED", first)


def test_the_table_is_written_while_its_indexes_are_built(database: Database) -> None:
    add = [A_REQUEST, entry(1).cid().hex(), 1]
    with database.connect() as conn:
        conn.execute(TABLE.encode())
    with database.connect() as first, database.connect() as conn, ThreadPoolExecutor(1) as pool:
        conn.autocommit = True
        first.execute(THEIR_KEY, ["+551190001", *add])
        building = pool.submit(build_indexes, conn, parse(MAPPING))
        with database.connect() as second:
            wait_until(lambda: afresh(second, WAITING), "it waits for no lock", ended=building.done)
            second.execute("set lock_timeout = '2s'")
            second.execute(THEIR_KEY, ["+551190002", None, None, 1])
        first.commit()
        building.result(timeout=60)
        built = rows(conn, INDEXES)
        assert len(built) == 4
        build_indexes(conn, parse(MAPPING))
        conn.autocommit = False
        attach(conn, parse(MAPPING))
        assert rows(conn, INDEXES) == built, "taken as they are"
        assert list(findings(conn)) == []


def test_an_index_that_cannot_be_built_leaves_nothing_behind(database: Database) -> None:
    with database.connect() as conn:
        conn.execute(TABLE.encode())
        for number in (1, 2):
            conn.execute(THEIR_KEY, ["+551190001", A_REQUEST, entry(number).cid().hex(), 1])
        conn.commit()
        conn.autocommit = True
        with pytest.raises(KeyMappingError, match="hold the same key"):
            build_indexes(conn, parse(MAPPING))
        assert rows(conn, INDEXES) == []


def test_a_missing_index_is_found(conn: Connection) -> None:
    name = value(conn, "select indexname from pg_indexes where indexname like 'vsync_keys_active_cid_%%'")
    conn.execute(f"drop index core.{name}".encode())
    assert list(findings(conn)) == [
        f"the index {name} is missing or invalid: drop it, and `vsync key-table attach` the table again"
    ]


def test_a_trigger_of_our_own_table_that_is_out_of_force_is_found(database: Database) -> None:
    with database.connect() as conn:
        assert list(findings(conn)) == []
        conn.execute("alter table entries enable trigger record_deleted_cids")
        [found] = findings(conn)
    assert "record_deleted_cids is missing or not in force" in found


def test_rows_are_counted_and_some_cids_computed_again(conn: Connection) -> None:
    for number in range(3):
        insert(conn, entry(number))
    conn.execute("update core.pix_keys set nome = 'Outra' where id = 1")
    conn.execute(THEIR_KEY, ["+551190002", None, None, 1])
    conn.execute(THEIR_KEY, ["+551190003", None, None, 55])
    [counted] = count(conn)
    assert (counted.ispb, counted.active, counted.pending, counted.unknown) == (ISPB, 3, 1, 1)
    assert sample(conn) == (3, 1)


def test_later_migrations_apply_to_a_table_that_is_attached(
    empty_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = migrations.migrations()
    monkeypatch.setattr(migrations, "migrations", lambda: [each for each in known if each.name <= "0025_key_table"])
    migrations.migrate(empty_database)
    attach_theirs(empty_database)
    monkeypatch.undo()
    migrations.migrate(empty_database)
    with empty_database.connect() as conn:
        assert list(findings(conn)) == []


def test_their_owner_and_ours_need_not_be_one(database: Database) -> None:
    """A superuser attaches; VSYNC's owner gets no more than the view needs, and owns what was made."""
    ours, bank = "test_vsync_owner", "test_bank_owner"
    with database.connect() as conn:
        conn.execute(TABLE.encode())
        for name in (ours, bank):
            conn.execute(f"create role {name}".encode())
        try:
            conn.execute(f"grant create on schema public to {ours}".encode())
            for (table,) in rows(conn, "select tablename from pg_tables where schemaname = 'public'"):
                conn.execute(f"alter table {table} owner to {ours}".encode())
            for (name,) in rows(conn, "select oid::regprocedure::text from pg_proc where proname like 'record_%%'"):
                conn.execute(f"alter function {name} owner to {ours}".encode())
            conn.execute(f"alter table core.pix_keys owner to {bank}".encode())
            attach(conn, parse(MAPPING))
            owners = (
                "select array_agg(distinct proowner::regrole::text) from pg_proc where proname ~ '^(record|write)_'"
            )
            assert value(conn, owners) == [ours]
            conn.execute(f"set local role {ours}".encode())
            insert(conn, entry(1))
            conn.execute("update entries set owner_name = 'Bia'")
            conn.execute("reset role")
            granted = (
                "select array_agg(distinct privilege_type::text order by privilege_type::text) "
                "from information_schema.role_table_grants where table_name = 'pix_keys' and grantee = %s"
            )
            assert value(conn, granted, [ours]) == ["SELECT"], "and columns to write"
            assert len(rows(conn, EVENTS)) == 1
        finally:
            conn.rollback()
