from datetime import UTC, datetime, timedelta
from uuid import uuid4

from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.local_db.ledger import changed_since, events_since
from vsync_dagster_tests.local_db.parts import ISPB, OTHER_ISPB, insert, make_entry, value

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
FAR_AWAY = datetime(2100, 1, 1, tzinfo=UTC)


def snapshot(conn: Connection) -> str:
    conn.commit()
    text = value(conn, "select pg_current_snapshot()::text")
    conn.commit()
    return str(text)


def test_events_that_a_snapshot_saw_are_left_out(database: Database) -> None:
    with database.connect() as conn:
        first = insert(conn, make_entry(1))
        seen = snapshot(conn)
        second = insert(conn, make_entry(2))
        conn.execute("delete from entries where entry_id = %s", [first])
        insert(conn, make_entry(3, key_type="EVP"))
        insert(conn, make_entry(4, participant=OTHER_ISPB))
        conn.commit()
        found = events_since(conn, ISPB, "CPF", seen)
        assert [(event.event_type, event.cid, event.entry_id) for event in found] == [
            ("ADDED", make_entry(2).cid(), second),
            ("REMOVED", make_entry(1).cid(), first),
        ]
        assert events_since(conn, ISPB, "CPF", snapshot(conn)) == []


def test_a_transaction_that_was_open_counts_as_unseen(database: Database) -> None:
    """Its event is older than the snapshot by id and by time; only its transaction tells."""
    with database.connect() as slow, database.connect() as conn:
        entry_id = insert(slow, make_entry(1))
        insert(conn, make_entry(2))
        conn.commit()
        seen = snapshot(conn)
        after = value(conn, "select clock_timestamp()")
        slow.commit()
        [event] = events_since(conn, ISPB, "CPF", seen)
        assert event.entry_id == entry_id
        assert event.occurred_at < after
        cids = [make_entry(1).cid(), make_entry(2).cid()]
        assert changed_since(conn, ISPB, FAR_AWAY, cids, [], local_snapshot=seen) == ({cids[0]}, set())


def test_changes_by_time(database: Database) -> None:
    with database.connect() as conn:
        entry_id = insert(conn, make_entry(1))
        insert(conn, make_entry(2))
        cids = [make_entry(1).cid(), make_entry(3).cid()]
        at = value(conn, "select occurred_at from cid_events where entry_id = %s", [entry_id])
        seen = snapshot(conn)
        assert changed_since(conn, ISPB, at, cids, [], local_snapshot=seen) == ({cids[0]}, set())
        just_after = at + timedelta(microseconds=1)
        assert changed_since(conn, ISPB, just_after, cids, [entry_id], local_snapshot=seen) == (set(), set())
        assert changed_since(conn, OTHER_ISPB, LONG_AGO, cids, [entry_id], local_snapshot=seen) == (set(), set())


def test_changes_by_entry(database: Database) -> None:
    with database.connect() as conn:
        entry_id = insert(conn, make_entry(1))
        seen = snapshot(conn)
        conn.execute("update entries set cid = sha256(cid)")
        conn.commit()
        found = changed_since(conn, ISPB, FAR_AWAY, [], [entry_id, uuid4()], local_snapshot=seen)
        assert found == (set(), {entry_id})
        both = changed_since(conn, ISPB, FAR_AWAY, [make_entry(1).cid()], [entry_id], local_snapshot=seen)
        assert both == ({make_entry(1).cid()}, {entry_id})
