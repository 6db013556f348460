import pytest

from vsync_dagster.local_db import entries
from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.local_db.entries import local_entries_by_id, local_entries_for_keys
from vsync_dagster_tests.local_db.parts import ISPB, OTHER_ISPB, insert, make_entry


def test_rows_are_found_by_key(conn: Connection) -> None:
    active = insert(conn, make_entry(1))
    pending = insert(conn, make_entry(2), status="PENDING")
    insert(conn, make_entry(3), status="DELETED")
    insert(conn, make_entry(4, participant=OTHER_ISPB))
    insert(conn, make_entry(5))
    found = local_entries_for_keys(conn, ISPB, [make_entry(n).key for n in (1, 2, 3, 4, 77)])
    assert {(row.entry_id, row.key, row.key_type, row.cid, row.status) for row in found} == {
        (active, make_entry(1).key, "CPF", make_entry(1).cid(), "ACTIVE"),
        (pending, make_entry(2).key, "CPF", make_entry(2).cid(), "PENDING"),
    }


def test_rows_are_found_by_id(conn: Connection) -> None:
    mine = insert(conn, make_entry(1))
    gone = insert(conn, make_entry(2), status="DELETED")
    other = insert(conn, make_entry(3, participant=OTHER_ISPB))
    assert [row.entry_id for row in local_entries_by_id(conn, ISPB, [mine, gone, other])] == [mine]


def test_any_change_gives_another_row_version(database: Database) -> None:
    with database.connect() as conn:
        ids = [insert(conn, make_entry(n)) for n in (1, 2)]
    with database.connect() as conn:
        before = {row.entry_id: row.row_version for row in local_entries_by_id(conn, ISPB, ids)}
        conn.execute("update entries set owner_type = 'LEGAL_PERSON' where entry_id = %s", [ids[0]])
    with database.connect() as conn:
        after = {row.entry_id: row.row_version for row in local_entries_by_id(conn, ISPB, ids)}
    assert after[ids[0]] > before[ids[0]]
    assert after[ids[1]] == before[ids[1]]


def test_many_keys_are_asked_for_in_chunks(conn: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "_CHUNK", 2)
    ids = {insert(conn, make_entry(n)) for n in range(5)}
    found = local_entries_for_keys(conn, ISPB, (make_entry(n).key for n in range(5)))
    assert {row.entry_id for row in found} == ids
    assert len(found) == 5


def test_a_local_entry_shows_no_key(conn: Connection) -> None:
    insert(conn, make_entry(12_345_678_901))
    assert "12345678901" not in repr(local_entries_for_keys(conn, ISPB, ["12345678901"]))
