"""Filling the outbox and reading a topic."""

import json
from dataclasses import dataclass
from typing import Any

import pulsar

from vsync_dagster.events.messages import ENTRY_CREATED
from vsync_dagster.local_db import outbox
from vsync_dagster.local_db.database import Database

ISPBS = ("00416968", "12345678", "87654321")
QUIET = pulsar.ConsoleLogger(pulsar.LoggerLevel.Error)


@dataclass(frozen=True, slots=True)
class Received:
    payload: dict[str, Any]
    properties: dict[str, str]
    key: str
    event_time: int


def fill_outbox(database: Database, count: int) -> None:
    """Add events of several participants in turn; the payload holds the event's place in the order."""
    with database.connect() as connection:
        for number in range(count):
            outbox.add(connection, ISPBS[number % len(ISPBS)], ENTRY_CREATED, {"number": number})


def waiting(database: Database) -> list[tuple[int, int, str | None]]:
    """Return (place, attempts, last error) of the events that are not published."""
    with database.connect() as connection:
        return connection.execute(
            "select (payload->>'number')::int, attempts, last_error from outbox where published_at is null order by id"
        ).fetchall()


def read(url: str, topic: str, timeout_ms: int = 1_500) -> list[Received]:
    """Return everything that is in a topic; the broker may deliver a message more than once."""
    client = pulsar.Client(url, logger=QUIET)
    try:
        consumer = client.subscribe(topic, "test", initial_position=pulsar.InitialPosition.Earliest)
        return list(_receive_all(consumer, timeout_ms))
    finally:
        client.close()


def _receive_all(consumer: pulsar.Consumer, timeout_ms: int) -> list[Received]:
    received: list[Received] = []
    while True:
        try:
            message = consumer.receive(timeout_ms)
        except pulsar.Timeout:
            return received
        consumer.acknowledge(message)
        payload = json.loads(message.data())
        received.append(Received(payload, message.properties(), message.partition_key(), message.event_timestamp()))


def numbers_of(received: list[Received], ispb: str) -> list[int]:
    """Return the places of one participant's events in the order of their first arrival."""
    return list(dict.fromkeys(each.payload["number"] for each in received if each.key == ispb))


def assert_complete_and_in_order(received: list[Received], count: int) -> None:
    """Check that each participant's events arrived, none is missing, and first arrivals are in order."""
    for place, ispb in enumerate(ISPBS):
        assert numbers_of(received, ispb) == list(range(place, count, len(ISPBS)))
