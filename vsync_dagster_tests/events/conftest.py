"""A broker for the tests of this room, a topic of its own for each, and a broker that comes and goes."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from vsync_dagster.embedded import process
from vsync_dagster.embedded.broker import embedded_broker


@pytest.fixture(scope="session")
def broker_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with embedded_broker(tmp_path_factory.mktemp("broker")) as url:
        yield url


@pytest.fixture
def topic() -> str:
    return f"persistent://public/default/events-{uuid4().hex}"


class RestartableBroker:
    """A broker that may be started and stopped, always on the same port and with the same data."""

    def __init__(self, home: Path, port: int) -> None:
        self.url = f"pulsar://{process.LOOPBACK}:{port}"
        self._home = home
        self._running: Iterator[None] | None = None

    def start(self) -> None:
        self._running = self._run()
        next(self._running)

    def stop(self) -> None:
        assert next(self._running or iter(()), None) is None
        self._running = None

    @property
    def runs(self) -> bool:
        return self._running is not None

    def _run(self) -> Iterator[None]:
        with embedded_broker(self._home) as url:
            assert url == self.url
            yield


@pytest.fixture
def restartable_broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RestartableBroker]:
    port = process.free_port()
    monkeypatch.setattr(process, "free_port", lambda: port)
    broker = RestartableBroker(tmp_path, port)
    yield broker
    if broker.runs:
        broker.stop()
