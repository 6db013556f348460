"""The embedded broker: pulsar-client speaks to it, it keeps what it took, and it is for this machine only."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pulsar

from vsync_dagster.embedded.broker import embedded_broker

TOPIC = "persistent://public/default/dict-events"
QUIET = pulsar.ConsoleLogger(pulsar.LoggerLevel.Error)


@contextmanager
def connect(url: str) -> Iterator[pulsar.Client]:
    client = pulsar.Client(url, logger=QUIET)
    try:
        yield client
    finally:
        client.close()


def test_what_was_published_outlives_the_broker(home: Path) -> None:
    with embedded_broker(home) as url, connect(url) as client:
        client.subscribe(TOPIC, "reader").close()
        client.create_producer(TOPIC).send(b"kept", properties={"id": "1"})
    with embedded_broker(home) as url, connect(url) as client:
        message = client.subscribe(TOPIC, "reader").receive(timeout_millis=10_000)
        data, properties = message.data(), message.properties()
    assert (data, properties) == (b"kept", {"id": "1"})


def test_it_listens_on_one_loopback_port_only(home: Path, new_processes: Callable[[], list[psutil.Process]]) -> None:
    with embedded_broker(home) as url:
        listening = [
            connection.laddr
            for child in new_processes()
            for connection in child.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        ]
    assert [f"pulsar://{address.ip}:{address.port}" for address in listening] == [url]
