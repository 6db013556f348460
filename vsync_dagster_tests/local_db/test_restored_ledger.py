"""The ledger after pg_dump and pg_restore to another server, whose transaction ids are smaller."""

from collections.abc import Iterator

import pytest

from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.local_db.ledger import changed_since, events_since
from vsync_dagster_tests.local_db.parts import ISPB, insert, make_entry, value
from vsync_dagster_tests.local_db.restoring import moved_to_a_new_server, use_transaction_ids


def snapshot(conn: Connection) -> str:
    conn.commit()
    text = str(value(conn, "select pg_current_snapshot()::text"))
    conn.commit()
    return text


@pytest.fixture
def moved(database: Database) -> Iterator[Database]:
    """A database with one entry, on a new server."""
    use_transaction_ids(database)
    with database.connect() as conn:
        insert(conn, make_entry(1))
    with moved_to_a_new_server(database) as there:
        yield there


def test_events_from_before_a_move_are_seen_by_each_snapshot_after_it(moved: Database) -> None:
    with moved.connect() as conn:
        old, newest = value(conn, "select max(xid)::text from cid_events"), snapshot(conn)
        assert int(old) > int(newest.split(":")[1]), "the old server's ids are larger, or this test shows nothing"
        assert events_since(conn, ISPB, "CPF", newest) == []
        found = changed_since(
            conn,
            ISPB,
            value(conn, "select now() + interval '1 hour'"),
            [make_entry(1).cid()],
            [],
            local_snapshot=newest,
        )
        assert found == (set(), set())


def test_events_after_a_move_are_told_from_those_before(moved: Database) -> None:
    with moved.connect() as slow, moved.connect() as conn:
        with conn.transaction():
            insert(conn, make_entry(2))
        insert(slow, make_entry(3))
        seen = snapshot(conn)
        with conn.transaction(), conn.transaction():
            # In a savepoint, whose rows carry the id of the subtransaction.
            insert(conn, make_entry(4))
        slow.commit()
        found = {event.cid for event in events_since(conn, ISPB, "CPF", seen)}
        assert found == {make_entry(3).cid(), make_entry(4).cid()}


@pytest.mark.parametrize(
    ("event_xid", "row_xmin", "newest", "restored"),
    [
        (1_000, 1_000, 5_000, False),
        (1_000, 1_003, 5_000, False),
        (30_000, 800, 5_000, True),
        (2**32 + 1_000, 800, 5_000, True),
        (2**32 + 10, 10, 2**32 + 500, False),
        # Written before the ids' lower half began anew, read after.
        (2**32 - 5, 2**32 - 5, 2**32 + 500, False),
        (2**32 + 700, 2**32 - 5, 2**32 + 500, True),
    ],
)
def test_a_restored_event_is_older_by_its_row_than_by_its_transaction(
    conn: Connection, event_xid: int, row_xmin: int, newest: int, restored: bool
) -> None:
    query = "select event_was_restored(%s::text::xid8, %s::text::xid, %s::text::xid8)"
    assert value(conn, query, [event_xid, row_xmin, newest]) is restored
