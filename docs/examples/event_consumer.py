"""Handles each of VSYNC's events once: `python event_consumer.py pulsar://host:6650 TOPIC seen.sqlite [SECONDS]`.

Here "handling" is printing a line of JSON. What matters is the order of steps: the event's id and its effect are
stored in one transaction, and only then is the message acknowledged. A crash in between brings the message again, and
its id is found. Ends after so many SECONDS without an event, or else never.
"""

import json
import sqlite3
import sys

import pulsar


def main(url: str, topic: str, seen_path: str, quiet_seconds: str | None = None) -> None:
    """Follow the topic."""
    seen = sqlite3.connect(seen_path)
    seen.execute("create table if not exists seen (source text, id text, primary key (source, id))")
    client = pulsar.Client(url)
    # Failover: one consumer at a time reads, in order, and another takes over. With Key_Shared several share the work,
    # each participant's events in order at one of them. Shared would lose the order.
    consumer = client.subscribe(
        topic,
        "example",
        consumer_type=pulsar.ConsumerType.Failover,
        initial_position=pulsar.InitialPosition.Earliest,
    )
    timeout = None if quiet_seconds is None else int(float(quiet_seconds) * 1000)
    try:
        while True:
            message = consumer.receive(timeout)
            with seen:
                if _is_new(seen, message.properties()):
                    _handle(message)
            consumer.acknowledge(message)
    except pulsar.Timeout:
        pass
    finally:
        client.close()


def _is_new(seen: sqlite3.Connection, event: dict[str, str]) -> bool:
    # CloudEvents: `source` and `id` together name an event.
    row = (event["source"], event["id"])
    return seen.execute("insert or ignore into seen values (?, ?)", row).rowcount == 1


def _handle(message: pulsar.Message) -> None:
    event = message.properties()
    if event["specversion"] != "1.0" or event["dataschema"].rpartition(":")[2] != "1":
        raise SystemExit(f"a version of {event['type']} that this program does not know: {event['dataschema']}")
    told = {name: event[name] for name in ("type", "id", "subject")}
    print(json.dumps(told | {"data": json.loads(message.data())}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
