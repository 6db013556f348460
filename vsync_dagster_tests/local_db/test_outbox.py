from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from vsync_dagster.local_db import outbox
from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.local_db.outbox import Waiting
from vsync_dagster_tests.local_db.parts import ISPB, OTHER_ISPB, afresh, rows
from vsync_dagster_tests.local_db.test_fixes_concurrent import WAITING
from vsync_dagster_tests.waiting import wait_until


def test_events_wait_in_the_order_they_came(conn: Connection) -> None:
    for number in range(3):
        outbox.add(conn, ISPB, "vsync.sync.completed", {"number": number, "text": "Açaí"})
    waiting = outbox.pending(conn, 10)
    assert [message.payload for message in waiting] == [{"number": n, "text": "Açaí"} for n in range(3)]
    assert {(message.participant_ispb, message.event_type, message.attempts) for message in waiting} == {
        (ISPB, "vsync.sync.completed", 0)
    }
    assert len({message.message_id for message in waiting}) == 3
    assert outbox.pending(conn, 2) == waiting[:2]


def test_a_published_event_waits_no_longer(conn: Connection) -> None:
    for number in range(3):
        outbox.add(conn, ISPB, "x", {"number": number})
    first, second, third = outbox.pending(conn, 10)
    outbox.mark_published(conn, [first.id, third.id])
    assert outbox.pending(conn, 10) == [second]
    assert rows(conn, "select published_at is not null, attempts from outbox order by id") == [
        (True, 1),
        (False, 0),
        (True, 1),
    ]


def test_a_failed_event_waits_with_what_it_met(conn: Connection) -> None:
    outbox.add(conn, ISPB, "x", {})
    [message] = outbox.pending(conn, 1)
    outbox.mark_failed(conn, message.id, "ConnectError")
    outbox.mark_failed(conn, message.id, "Timeout")
    [again] = outbox.pending(conn, 1)
    assert (again.message_id, again.attempts) == (message.message_id, 2)
    assert rows(conn, "select last_error from outbox") == [("Timeout",)]
    outbox.mark_published(conn, [message.id])
    assert rows(conn, "select attempts, last_error from outbox") == [(3, None)]


def test_events_of_one_participant_become_visible_in_the_order_of_their_ids(database: Database) -> None:
    with database.connect() as first, database.connect() as watcher, ThreadPoolExecutor(1) as pool:
        outbox.add(first, ISPB, "x", {"number": 1})
        second = pool.submit(database.retrying, lambda conn: outbox.add(conn, ISPB, "x", {"number": 2}))
        wait_until(lambda: afresh(watcher, WAITING), "the second is there before the first", ended=second.done)
        outbox.add(first, ISPB, "x", {"number": 3})
        first.commit()
        second.result(timeout=10)
        assert [event.payload["number"] for event in outbox.pending(watcher, 10)] == [1, 3, 2]


def test_no_participant_waits_for_another(database: Database) -> None:
    with database.connect() as first:
        outbox.add(first, ISPB, "x", {})
        database.retrying(lambda conn: outbox.add(conn, OTHER_ISPB, "x", {}))
        assert {event.participant_ispb for event in outbox.pending(first, 10)} == {ISPB, OTHER_ISPB}


def test_what_waits_is_told_by_participant_with_what_holds_it_up(conn: Connection) -> None:
    for ispb in (ISPB, OTHER_ISPB, ISPB):
        outbox.add(conn, ispb, "x", {})
    first, other, _ = outbox.pending(conn, 10)
    outbox.mark_failed(conn, first.id, "Timeout")
    outbox.mark_published(conn, [other.id])
    assert outbox.waiting(conn) == [Waiting(ISPB, 2, first.created_at, 1, "Timeout")]
    assert outbox.pending(conn, 10, held=[ISPB]) == []


def test_what_was_published_can_be_chosen_by_id_participant_and_time(conn: Connection) -> None:
    for ispb in (ISPB, OTHER_ISPB, ISPB):
        outbox.add(conn, ispb, "x", {})
    first, other, last = outbox.pending(conn, 10)
    outbox.mark_published(conn, [first.id, other.id])
    now = datetime.now(UTC)

    assert outbox.publish_again(conn, until=now - timedelta(days=1)) == 0
    assert outbox.publish_again(conn, since=now + timedelta(days=1)) == 0
    assert outbox.publish_again(conn, message_ids=[last.message_id]) == 0, "it was not published"
    assert outbox.publish_again(conn, ispb=OTHER_ISPB, since=now - timedelta(days=1)) == 1
    assert [event.id for event in outbox.pending(conn, 10)] == [other.id, last.id]
    assert outbox.publish_again(conn, message_ids=[first.message_id]) == 1
    assert [event.message_id for event in outbox.pending(conn, 10)] == [
        event.message_id for event in (first, other, last)
    ]
