"""A broker that is not there, goes in the middle, or answers late: the sync does not depend on it."""

import functools
from collections import Counter
from collections.abc import Callable
from uuid import uuid4

import psutil
import pytest

from vsync_dagster.events import relay as relay_module
from vsync_dagster.events.publisher import Publisher, Sent
from vsync_dagster_tests.events.conftest import RestartableBroker
from vsync_dagster_tests.events.parts import read
from vsync_dagster_tests.faults.scene import CREATES, UPDATES, assert_survived, move_apart
from vsync_dagster_tests.reliability import fault
from vsync_dagster_tests.world import World

PULSAR = "Pulsar"
WAITED = "The sync is COMPLETED and proved; its events wait in the outbox, and the next sync publishes each."


@pytest.fixture
def topic(world: World, restartable_broker: RestartableBroker, monkeypatch: pytest.MonkeyPatch) -> str:
    """A topic of the test's own on a broker that does not run yet, events going out three at a time."""
    name = f"persistent://public/default/events-{uuid4().hex}"
    move_apart(world)
    monkeypatch.setenv("VSYNC_PULSAR_URL", restartable_broker.url)
    monkeypatch.setenv("VSYNC_PULSAR_TOPIC", name)
    monkeypatch.setattr(relay_module, "BATCH_SIZE", 3)
    return name


def trying(monkeypatch: pytest.MonkeyPatch, attempts: int, between: Callable[[], object] = lambda: None) -> None:
    """Have the relay try so often, and do something instead of waiting between the tries."""

    def sleep(_: float) -> None:
        between()

    hasty = functools.partial(relay_module.relay, attempts=attempts, timeout=1, sleep=sleep)
    monkeypatch.setattr("vsync_dagster.resources.relay", hasty)


def in_the_second_batch(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    send, batches = Publisher.send, iter(range(1_000))

    def sending(publisher: Publisher, messages: dict[int, object]) -> Sent:
        if next(batches) == 1:
            act()
        return send(publisher, messages)  # type: ignore[arg-type]

    monkeypatch.setattr(Publisher, "send", sending)


def waiting(world: World) -> int:
    return int(world.sql("select count(*) from outbox where published_at is null")[0][0])


def assert_all_arrived(world: World, broker: RestartableBroker, topic: str) -> None:
    """Each event is in the topic, with the fixes of one participant in the order in which they were made."""
    assert waiting(world) == 0
    first_arrivals = {each.properties["id"]: each.properties["type"] for each in read(broker.url, topic)}
    told = [str(number) for (number,) in world.sql("select message_id from outbox order by id")]
    assert list(first_arrivals) == told
    kinds = Counter(first_arrivals.values())
    assert (kinds["vsync.entry.created"], kinds["vsync.entry.updated"]) == (CREATES, UPDATES)


@fault(PULSAR, "down from the start", WAITED)
def test_no_broker(
    world: World, restartable_broker: RestartableBroker, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trying(monkeypatch, attempts=2)

    report = world.sync("FULL")

    assert_survived(world, report)
    assert waiting(world) == 2 + CREATES + UPDATES
    restartable_broker.start()
    assert world.sync().status == "COMPLETED"
    assert_all_arrived(world, restartable_broker, topic)


@fault(PULSAR, "down in the middle", WAITED)
def test_a_broker_that_goes(
    world: World, restartable_broker: RestartableBroker, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trying(monkeypatch, attempts=2)
    restartable_broker.start()
    in_the_second_batch(monkeypatch, restartable_broker.stop)

    report = world.sync("FULL")

    assert_survived(world, report)
    assert 0 < waiting(world) < 2 + CREATES + UPDATES
    restartable_broker.start()
    assert world.sync().status == "COMPLETED"
    assert_all_arrived(world, restartable_broker, topic)


@fault(
    PULSAR,
    "acknowledged later than we wait",
    "The sync is COMPLETED and proved; what was not acknowledged is sent again under the same id, in order.",
)
def test_a_broker_that_acknowledges_late(
    world: World, restartable_broker: RestartableBroker, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = psutil.Process().children()
    restartable_broker.start()
    (broker,) = [each for each in psutil.Process().children() if each not in before and each.name() == "pulsar-lite"]
    trying(monkeypatch, attempts=3, between=broker.resume)
    in_the_second_batch(monkeypatch, broker.suspend)

    report = world.sync("FULL")

    assert_survived(world, report)
    assert_all_arrived(world, restartable_broker, topic)
