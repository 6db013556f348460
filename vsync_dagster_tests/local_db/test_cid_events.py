"""The triggers that keep `cid_events`: every road into `entries`, and only changes of membership."""

from uuid import UUID, uuid4

import psycopg
import pytest

from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.local_db.errors import DatabaseError
from vsync_dagster_tests.local_db.parts import ISPB, OTHER_ISPB, insert, insert_all, make_entry, rows, value

Event = tuple[str, str, str, UUID, bytes]

EVENTS = "select event_type, participant_ispb, key_type, entry_id, cid from cid_events order by event_id"
NEW_CID = b"\x07" * 32

COPY_TWO = "copy entries (entry_id, key, key_type, participant_ispb, account_number, account_type, owner_tax_id,\
 owner_name, request_id, cid, status) from stdin"


def events(conn: Connection) -> list[Event]:
    """The log so far, which is then emptied: each step of a test sees its own events."""
    found = [(kind, ispb, key_type, entry_id, cid) for kind, ispb, key_type, entry_id, cid in rows(conn, EVENTS)]
    conn.execute("delete from cid_events")
    return found


@pytest.fixture
def held(conn: Connection) -> list[UUID]:
    """Three ACTIVE rows, numbers 1 to 3; their own events are out of the log."""
    ids = insert_all(conn, (make_entry(number) for number in (1, 2, 3)))
    conn.execute("delete from cid_events")
    return ids


def event(kind: str, number: int, entry_id: UUID, *, ispb: str = ISPB, key_type: str = "CPF") -> Event:
    return (kind, ispb, key_type, entry_id, make_entry(number).cid())


def test_insert_of_many_rows_logs_the_active_ones(conn: Connection) -> None:
    first = insert(conn, make_entry(1))
    insert(conn, make_entry(2), status="PENDING")
    insert(conn, make_entry(3), status="DELETED")
    assert events(conn) == [event("ADDED", 1, first)]

    conn.execute(
        """
        insert into entries (key, key_type, participant_ispb, account_number, account_type, owner_tax_id, owner_name,
            request_id, cid, status)
        select 'k' || n, 'EMAIL', %s, '1', 'CACC', '1', 'x', gen_random_uuid(), sha256(n::text::bytea),
            case when n %% 2 = 0 then 'ACTIVE' else 'PENDING' end
        from generate_series(1, 10) n
        """,
        [ISPB],
    )
    logged = events(conn)
    assert len(logged) == 5
    assert {cid for *_, cid in logged} == {
        cid for (cid,) in rows(conn, "select cid from entries where key_type = 'EMAIL' and status = 'ACTIVE'")
    }


def test_copy_is_logged(conn: Connection) -> None:
    ids = [uuid4(), uuid4()]
    with conn.cursor() as cursor, cursor.copy(COPY_TWO) as copy:
        for number, entry_id in enumerate(ids):
            entry = make_entry(number)
            copy.write_row(
                (entry_id, entry.key, "CPF", ISPB, "1", "CACC", "1", "x", entry.request_id, entry.cid(), "ACTIVE")
            )
    assert events(conn) == [event("ADDED", 0, ids[0]), event("ADDED", 1, ids[1])]


def test_upsert_logs_the_inserted_and_the_updated_rows(conn: Connection, held: list[UUID]) -> None:
    upsert = """
        insert into entries (entry_id, key, key_type, participant_ispb, account_number, account_type, owner_tax_id,
            owner_name, request_id, cid, status)
        values (%s, %s, 'CPF', %s, '1', 'CACC', '1', 'x', gen_random_uuid(), %s, 'ACTIVE'),
               (%s, %s, 'CPF', %s, '1', 'CACC', '1', 'x', gen_random_uuid(), %s, 'ACTIVE')
        on conflict (key) where status = 'ACTIVE' do update set cid = excluded.cid
    """
    new_id, new = uuid4(), make_entry(9)
    conn.execute(upsert, [uuid4(), make_entry(1).key, ISPB, NEW_CID, new_id, new.key, ISPB, new.cid()])
    assert sorted(events(conn), key=str) == sorted(
        [
            event("REMOVED", 1, held[0]),
            ("ADDED", ISPB, "CPF", held[0], NEW_CID),
            event("ADDED", 9, new_id),
        ],
        key=str,
    )


def test_merge_logs_each_of_its_actions(conn: Connection, held: list[UUID]) -> None:
    if conn.info.server_version < 150_000:
        pytest.skip("MERGE came with PostgreSQL 15")
    new_id, new = uuid4(), make_entry(9)
    conn.execute(
        """
        merge into entries e using (values (%s::varchar, 1), (%s, 2), (%s, 3)) as s (key, action) on e.key = s.key
        when matched and s.action = 1 then delete
        when matched then update set key_type = 'PHONE'
        when not matched then insert (entry_id, key, key_type, participant_ispb, account_number, account_type,
            owner_tax_id, owner_name, request_id, cid, status)
            values (%s, s.key, 'CPF', %s, '1', 'CACC', '1', 'x', gen_random_uuid(), %s, 'ACTIVE')
        """,
        [make_entry(1).key, make_entry(2).key, new.key, new_id, ISPB, new.cid()],
    )
    assert sorted(events(conn), key=str) == sorted(
        [
            event("REMOVED", 1, held[0]),
            event("REMOVED", 2, held[1]),
            event("ADDED", 2, held[1], key_type="PHONE"),
            event("ADDED", 9, new_id),
        ],
        key=str,
    )


def test_update_logs_only_changed_membership(conn: Connection, held: list[UUID]) -> None:
    conn.execute("update entries set owner_name = 'Maria', branch = null, updated_at = now(), request_id = request_id")
    assert events(conn) == []

    conn.execute("update entries set cid = case entry_id when %s then %s else cid end", [held[1], NEW_CID])
    assert events(conn) == [event("REMOVED", 2, held[1]), ("ADDED", ISPB, "CPF", held[1], NEW_CID)]


def test_update_of_many_rows_logs_removed_before_added(conn: Connection, held: list[UUID]) -> None:
    conn.execute("update entries set cid = sha256(cid)")
    logged = events(conn)
    assert [kind for kind, *_ in logged] == ["REMOVED"] * 3 + ["ADDED"] * 3
    assert {cid for *_, cid in logged[3:]} == {cid for (cid,) in rows(conn, "select cid from entries")}


def test_status_changes_are_membership(conn: Connection, held: list[UUID]) -> None:
    conn.execute("update entries set status = 'DELETED', deleted_at = now() where entry_id = %s", [held[0]])
    assert events(conn) == [event("REMOVED", 1, held[0])]
    conn.execute("update entries set status = 'PENDING' where entry_id = %s", [held[0]])
    assert events(conn) == []
    conn.execute("update entries set status = 'ACTIVE' where entry_id = %s", [held[0]])
    assert events(conn) == [event("ADDED", 1, held[0])]


def test_moves_between_participants_and_key_types(conn: Connection, held: list[UUID]) -> None:
    conn.execute("update entries set participant_ispb = %s where entry_id = %s", [OTHER_ISPB, held[0]])
    assert events(conn) == [event("REMOVED", 1, held[0]), event("ADDED", 1, held[0], ispb=OTHER_ISPB)]
    conn.execute("update entries set key_type = 'EVP' where entry_id = %s", [held[1]])
    assert events(conn) == [event("REMOVED", 2, held[1]), event("ADDED", 2, held[1], key_type="EVP")]


def test_a_row_given_another_id_leaves_and_comes_back(conn: Connection, held: list[UUID]) -> None:
    new_id = uuid4()
    conn.execute("update entries set entry_id = %s where entry_id = %s", [new_id, held[0]])
    assert events(conn) == [event("REMOVED", 1, held[0]), event("ADDED", 1, new_id)]


def test_cids_swapped_in_one_statement(conn: Connection, held: list[UUID]) -> None:
    # The unique index refuses to swap; without it, the triggers alone are seen.
    conn.execute("drop index entries_active_cid")
    conn.execute(
        """
        update entries e set cid = o.cid from entries o
        where e.entry_id = any(%(ids)s) and o.entry_id = any(%(ids)s) and e.entry_id <> o.entry_id
        """,
        {"ids": held[:2]},
    )
    logged = events(conn)
    assert {e[0] for e in logged[:2]} == {"REMOVED"}
    assert sorted(logged, key=str) == sorted(
        [
            event("REMOVED", 1, held[0]),
            event("REMOVED", 2, held[1]),
            event("ADDED", 2, held[0]),
            event("ADDED", 1, held[1]),
        ],
        key=str,
    )


def test_delete_is_logged(conn: Connection, held: list[UUID]) -> None:
    insert(conn, make_entry(4), status="PENDING")
    conn.execute("delete from entries where key <> %s", [make_entry(3).key])
    assert sorted(events(conn), key=str) == sorted(
        [event("REMOVED", 1, held[0]), event("REMOVED", 2, held[1])], key=str
    )


def test_truncate_is_logged(conn: Connection, held: list[UUID]) -> None:
    insert(conn, make_entry(4), status="PENDING")
    conn.execute("truncate entries")
    assert sorted(events(conn), key=str) == sorted(
        [event("REMOVED", number, entry_id) for number, entry_id in zip((1, 2, 3), held, strict=True)], key=str
    )


def test_truncate_under_an_old_snapshot_is_refused(database: Database) -> None:
    with database.connect() as conn:
        insert(conn, make_entry(1))
    with pytest.raises(DatabaseError, match="read_committed_truncate"), database.connect() as conn:
        conn.execute("set transaction isolation level repeatable read; truncate entries")
    with database.connect() as conn:
        assert value(conn, "select count(*) from entries") == 1


@pytest.mark.parametrize(
    "change",
    [
        "update entries set cid = sha256(cid) where key = '00000000001'",
        "delete from entries where key = '00000000001'",
        "truncate entries",
    ],
)
def test_the_replica_role_skips_no_trigger(conn: Connection, held: list[UUID], change: str) -> None:
    conn.execute("set session_replication_role = replica")
    conn.execute(change.encode())
    assert event("REMOVED", 1, held[0]) in events(conn)
    added = insert(conn, make_entry(8))
    assert events(conn) == [event("ADDED", 8, added)]


def test_a_role_without_rights_on_the_log_can_write_entries(conn: Connection, held: list[UUID]) -> None:
    role = f"writer_{uuid4().hex}"
    conn.execute(f"create role {role}".encode())
    conn.execute(f"grant select, insert, update, delete on entries to {role}".encode())
    conn.execute(f"set local role {role}".encode())
    entry_id = insert(conn, make_entry(5))
    conn.execute("update entries set status = 'DELETED' where entry_id = %s", [held[0]])
    conn.execute("delete from entries where entry_id = %s", [held[1]])
    conn.execute("create temporary table mine (participant_ispb text)")
    for forbidden in (
        "select * from cid_events",
        "insert into cid_events (participant_ispb) values ('00000000')",
        # Its own table with the log's trigger on it would be a way to write the log.
        "create trigger mine before truncate on mine for each statement execute function record_truncated_cids()",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege), conn.transaction():
            conn.execute(forbidden.encode())
    conn.execute("reset role")
    assert events(conn) == [
        event("ADDED", 5, entry_id),
        event("REMOVED", 1, held[0]),
        event("REMOVED", 2, held[1]),
    ]
    conn.rollback()


def test_a_temporary_table_cannot_stand_in_for_the_log(conn: Connection) -> None:
    conn.execute("create temporary table cid_events (like public.cid_events)")
    insert(conn, make_entry(1))
    assert value(conn, "select count(*) from public.cid_events") == 1


def test_triggers_never_change_the_row(conn: Connection, held: list[UUID]) -> None:
    others = "select to_jsonb(e) - 'cid' - 'owner_name' from entries e where entry_id = %s"
    before = value(conn, others, [held[0]])
    conn.commit()
    conn.execute("update entries set cid = sha256(cid), owner_name = 'Maria'")
    assert value(conn, others, [held[0]]) == before


def test_events_roll_back_with_the_change(conn: Connection, held: list[UUID]) -> None:
    conn.commit()
    with conn.transaction(force_rollback=True):
        conn.execute("delete from entries")
    assert events(conn) == []


def test_an_event_written_under_a_savepoint_carries_the_whole_transaction(conn: Connection) -> None:
    current = value(conn, "select pg_current_xact_id()::text")
    with conn.transaction():
        insert(conn, make_entry(1))
    assert value(conn, "select xid::text from cid_events") == current
