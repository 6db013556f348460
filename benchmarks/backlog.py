"""How fast a backlog of events drains once the broker is back: `python -m benchmarks.backlog`."""

import json
import tempfile
import time
from pathlib import Path
from uuid import uuid4

import click
import pulsar

from vsync_dagster.embedded.broker import embedded_broker
from vsync_dagster.embedded.postgres import embedded_postgres
from vsync_dagster.embedded.process import LOOPBACK, free_port
from vsync_dagster.events.relay import relay
from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.migrate import migrate

# As syncs write them, the participants' in turn; `number` is for the order to be checked by.
_FILL = """
insert into outbox (participant_ispb, event_type, payload)
select lpad((n %% %(participants)s)::text, 8, '0'), 'vsync.entry.created', jsonb_build_object(
    'entry_id', gen_random_uuid(), 'key_type', 'EVP', 'participant_ispb', lpad((n %% %(participants)s)::text, 8, '0'),
    'cid', encode(sha256(n::text::bytea), 'hex'), 'run_id', 'run', 'number', n)
from generate_series(0, %(events)s - 1) as n
"""


@click.command()
@click.option("--events", default=100_000, show_default=True, help="Events that wait.")
@click.option("--participants", default=300, show_default=True, help="Participants whose events they are.")
def main(events: int, participants: int) -> None:
    """Let events wait while there is no broker, start one, and drain; then read the topic and check the order."""
    with tempfile.TemporaryDirectory(prefix="vsync-bench-") as folder:
        home, topic = Path(folder), f"persistent://public/default/backlog-{uuid4().hex}"
        with embedded_postgres(home, keep=False) as url:
            database = Database(url)
            migrate(database)
            with database.connect(bulk=True) as connection:
                connection.execute(_FILL, {"events": events, "participants": participants})
            down = relay(database, f"pulsar://{LOOPBACK}:{free_port()}", topic, attempts=1, timeout=1)
            assert (down.published, down.left) == (0, events), "without a broker nothing leaves"
            with embedded_broker(home) as broker:
                began = time.monotonic()
                drained = relay(database, broker, topic)
                seconds = time.monotonic() - began
                assert (drained.published, drained.left) == (events, 0), "nothing waits on"
                _check(broker, topic, events, participants)
    print(f"{events:,} events of {participants} participants: {seconds:.1f} s, {events / seconds:,.0f} a second")
    print("all arrived, each participant's in order")


def _check(url: str, topic: str, events: int, participants: int) -> None:
    client = pulsar.Client(url, logger=pulsar.ConsoleLogger(pulsar.LoggerLevel.Error))
    consumer = client.subscribe(topic, "backlog", initial_position=pulsar.InitialPosition.Earliest)
    expected = list(range(participants))
    ids: set[str] = set()
    try:
        while len(ids) < events:
            message = consumer.receive(10_000)
            consumer.acknowledge(message)
            identity, number = message.properties()["id"], json.loads(message.data())["number"]
            if identity in ids:
                continue
            ids.add(identity)
            assert number == expected[number % participants], "a participant's events arrived in another order"
            expected[number % participants] = number + participants
    finally:
        client.close()


if __name__ == "__main__":
    main()
