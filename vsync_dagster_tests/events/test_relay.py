"""The relay against a real broker and a real outbox: order, failures, and that nothing is lost."""

import subprocess
import sys
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import psutil
import pytest

from vsync_dagster.embedded.process import LOOPBACK, free_port
from vsync_dagster.events import relay as relay_module
from vsync_dagster.events.messages import ENTRY_CREATED
from vsync_dagster.events.publisher import Publisher, Sent
from vsync_dagster.events.relay import RelayResult, relay
from vsync_dagster.local_db import outbox
from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.local_db.errors import DatabaseError
from vsync_dagster_tests.events.conftest import RestartableBroker
from vsync_dagster_tests.events.parts import ISPBS, assert_complete_and_in_order, fill_outbox, numbers_of, read, waiting


def test_everything_is_published_once_in_order(database: Database, broker_url: str, topic: str) -> None:
    fill_outbox(database, 60)
    assert relay(database, broker_url, topic) == RelayResult(published=60, left=0)
    assert waiting(database) == []
    assert relay(database, broker_url, topic) == RelayResult(published=0, left=0)
    received = read(broker_url, topic)
    assert_complete_and_in_order(received, 60)
    assert len({each.properties["id"] for each in received}) == 60


def test_an_event_arrives_with_its_attributes(database: Database, broker_url: str, topic: str) -> None:
    fill_outbox(database, 1)
    relay(database, broker_url, topic)
    with database.connect() as connection:
        row = connection.execute("select message_id::text, created_at from outbox").fetchone()
    assert row is not None
    message_id, created_at = row
    (received,) = read(broker_url, topic)
    assert received.payload == {"number": 0}
    assert received.key == ISPBS[0]
    assert received.event_time == int(created_at.timestamp() * 1000)
    assert received.properties["id"] == message_id
    assert received.properties["type"] == "vsync.entry.created"
    assert datetime.fromisoformat(received.properties["time"]) == created_at


def test_more_than_a_batch(database: Database, broker_url: str, topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "BATCH_SIZE", 7)
    fill_outbox(database, 30)
    assert relay(database, broker_url, topic) == RelayResult(published=30, left=0)
    assert_complete_and_in_order(read(broker_url, topic), 30)


def test_without_a_broker_events_stay_and_are_published_later(
    database: Database, broker_url: str, topic: str, caplog: pytest.LogCaptureFixture
) -> None:
    fill_outbox(database, 4)
    sleeps: list[float] = []
    url = f"pulsar://{LOOPBACK}:{free_port()}"
    result = relay(database, url, topic, attempts=4, timeout=1, sleep=sleeps.append)
    assert (result.published, result.left) == (0, 4)
    assert result.warning == ("the broker of VSYNC_PULSAR_URL did not take an event: Timeout; it stays in the outbox")
    assert f"4 events wait in the outbox: {result.warning}" in caplog.text
    assert sleeps == [1, 2, 4]
    assert waiting(database) == [(0, 4, "Timeout"), (1, 0, None), (2, 0, None), (3, 0, None)]
    assert relay(database, broker_url, topic).published == 4
    assert_complete_and_in_order(read(broker_url, topic), 4)


def test_a_broker_that_comes_up_between_the_tries(
    database: Database, restartable_broker: RestartableBroker, topic: str
) -> None:
    fill_outbox(database, 9)
    result = relay(database, restartable_broker.url, topic, timeout=1, sleep=lambda _: restartable_broker.start())
    assert result == RelayResult(published=9, left=0)
    assert_complete_and_in_order(read(restartable_broker.url, topic), 9)


def on_call(number: int, action: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Do `action` when the relay is about to hand in its batch of that number."""
    send = Publisher.send
    calls = iter(range(1, 1000))

    def sending(publisher: Publisher, messages: dict[int, object]) -> Sent:
        if next(calls) == number:
            action()
        return send(publisher, messages)  # type: ignore[arg-type]

    monkeypatch.setattr(Publisher, "send", sending)


def test_a_broker_that_stops_in_the_middle_and_comes_back(
    database: Database, restartable_broker: RestartableBroker, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "BATCH_SIZE", 10)
    restartable_broker.start()
    on_call(3, restartable_broker.stop, monkeypatch)
    fill_outbox(database, 50)
    result = relay(database, restartable_broker.url, topic, timeout=1, sleep=lambda _: restartable_broker.start())
    assert result == RelayResult(published=50, left=0)
    assert_complete_and_in_order(read(restartable_broker.url, topic), 50)


def test_a_broker_that_stops_in_the_middle_and_stays_away(
    database: Database, restartable_broker: RestartableBroker, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "BATCH_SIZE", 10)
    restartable_broker.start()
    on_call(3, restartable_broker.stop, monkeypatch)
    fill_outbox(database, 50)
    result = relay(database, restartable_broker.url, topic, attempts=2, timeout=1, sleep=lambda _: None)
    assert (result.published, result.left) == (20, 30)
    assert [number for number, *_ in waiting(database)] == list(range(20, 50))
    restartable_broker.start()
    assert relay(database, restartable_broker.url, topic).published == 30
    assert_complete_and_in_order(read(restartable_broker.url, topic), 50)


def test_a_broker_that_hangs_may_get_events_twice_but_in_order(
    database: Database, restartable_broker: RestartableBroker, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "BATCH_SIZE", 10)
    before = psutil.Process().children()
    restartable_broker.start()
    (broker,) = [each for each in psutil.Process().children() if each not in before and each.name() == "pulsar-lite"]
    on_call(2, broker.suspend, monkeypatch)
    fill_outbox(database, 30)
    result = relay(database, restartable_broker.url, topic, timeout=1, sleep=lambda _: broker.resume())
    assert result == RelayResult(published=30, left=0)
    assert_complete_and_in_order(read(restartable_broker.url, topic), 30)


def test_what_could_not_be_marked_is_published_again_with_the_same_id(
    database: Database, broker_url: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_connection: Connection, _ids: Sequence[int]) -> None:
        raise DatabaseError("the disk is full")

    fill_outbox(database, 3)
    with monkeypatch.context() as patch:
        patch.setattr(outbox, "mark_published", refuse)
        with pytest.raises(DatabaseError):
            relay(database, broker_url, topic)
    assert relay(database, broker_url, topic).published == 3
    received = read(broker_url, topic)
    assert len(received) >= 6
    assert len({each.properties["id"] for each in received}) == 3


def test_two_relays_at_once_lose_nothing_and_publish_nothing_twice(
    database: Database, broker_url: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "BATCH_SIZE", 5)
    fill_outbox(database, 60)
    with ThreadPoolExecutor(2) as pool:
        relays = [pool.submit(relay, database, broker_url, topic) for _ in range(2)]
    assert sorted(each.result().published for each in relays) == [0, 60]
    assert waiting(database) == []
    assert_complete_and_in_order(read(broker_url, topic), 60)


def test_a_second_relay_leaves_everything_to_the_first(database: Database, broker_url: str, topic: str) -> None:
    fill_outbox(database, 3)
    with database.connect() as first:
        assert outbox.try_relay(first)
        assert relay(database, broker_url, topic) == RelayResult(0, 3, "another relay is publishing")
    assert relay(database, broker_url, topic) == RelayResult(3, 0)


def test_what_came_while_another_relay_was_turned_away_is_published_by_the_first(
    database: Database, broker_url: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pending = outbox.pending
    late = iter([1])

    def pending_and_then_one_more(
        connection: Connection, limit: int, held: Collection[str] = ()
    ) -> list[outbox.OutboxMessage]:
        found = pending(connection, limit, held)
        if not found and next(late, None):
            fill_outbox(database, 1)
            assert relay(database, broker_url, topic).warning == "another relay is publishing"
        return found

    monkeypatch.setattr(outbox, "pending", pending_and_then_one_more)
    fill_outbox(database, 1)
    assert relay(database, broker_url, topic) == RelayResult(published=2, left=0)


def test_a_refused_event_holds_up_its_own_participant_and_no_other(
    database: Database, broker_url: str, topic: str
) -> None:
    fill_outbox(database, 3)
    with database.connect() as connection:
        outbox.add(connection, ISPBS[0], ENTRY_CREATED, {"number": 3, "text": "x" * 6_000_000})
    fill_outbox(database, 6)
    result = relay(database, broker_url, topic)
    assert (result.published, result.left) == (7, 3)
    assert result.warning == (f"the broker refuses events, and those behind them wait: MessageTooBig for {ISPBS[0]}")
    assert [number for number, *_ in waiting(database)] == [3, 0, 3]
    assert waiting(database)[0] == (3, 1, "MessageTooBig")
    received = read(broker_url, topic)
    assert [each.payload["number"] for each in received if each.key == ISPBS[0]] == [0]
    assert numbers_of(received, ISPBS[1]) == [1, 4]


def test_enough_leaves_the_rest_to_the_next_relay(
    database: Database, broker_url: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "BATCH_SIZE", 5)
    fill_outbox(database, 12)
    asked = iter([False, True, True])
    assert relay(database, broker_url, topic, enough=lambda: next(asked)) == RelayResult(published=5, left=7)
    assert relay(database, broker_url, topic) == RelayResult(published=7, left=0)


@pytest.mark.parametrize(
    ("url", "wrong_topic", "reason"),
    [
        ("pulsar://user:secret@host:port", "t", "InvalidUrl"),
        (None, "a/b/c/d/e/f", "InvalidTopicName"),
    ],
)
def test_what_another_try_would_not_mend_is_not_tried_again(
    url: str | None,
    wrong_topic: str,
    reason: str,
    database: Database,
    broker_url: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    fill_outbox(database, 1)
    sleeps: list[float] = []
    result = relay(database, url or broker_url, wrong_topic, timeout=1, sleep=sleeps.append)
    assert sleeps == []
    assert result.warning == f"cannot publish: {reason}; check VSYNC_PULSAR_URL and VSYNC_PULSAR_TOPIC"
    assert waiting(database) == [(0, 1, reason)]
    assert "secret" not in caplog.text


_RELAY = """
import sys
from vsync_dagster.events.relay import relay
from vsync_dagster.local_db.database import Database
database, *brokers, topic = sys.argv[1:]
for broker in brokers:
    relay(Database(database), broker, topic, attempts=1, timeout=5)
"""


def test_the_clients_own_library_writes_nothing(database: Database, broker_url: str, topic: str) -> None:
    """In a process of its own: the first client of a process decides for all where the library writes."""
    fill_outbox(database, 2)
    dead = f"pulsar://{LOOPBACK}:{free_port()}"
    done = subprocess.run(
        [sys.executable, "-c", _RELAY, database.url, dead, broker_url, topic],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert [line for line in done.stderr.splitlines() if "wait in the outbox" not in line] == [], "but our own warning"
    assert waiting(database) == []
