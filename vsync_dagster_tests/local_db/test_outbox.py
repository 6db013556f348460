from vsync_dagster.local_db import outbox
from vsync_dagster.local_db.database import Connection
from vsync_dagster_tests.local_db.parts import ISPB, rows


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
