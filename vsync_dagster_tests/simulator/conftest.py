from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from vsync_dagster.simulator.server import running_simulator
from vsync_dagster.simulator.settings import Settings
from vsync_dagster.simulator.state import DictState
from vsync_dagster_tests.simulator.parts import BARE_HOST, DIRECT, INDIRECT, OTHER, Api, Clock

Start = Callable[..., Api]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def state(tmp_path: Path, clock: Clock) -> Iterator[DictState]:
    """A state with a direct participant, an indirect one that it acts for, and a stranger."""
    with DictState(tmp_path / "dict.sqlite", now=clock.now) as opened:
        opened.participants.add(DIRECT)
        opened.participants.add(INDIRECT, via=DIRECT)
        opened.participants.add(OTHER)
        yield opened


@pytest.fixture
def start(state: DictState) -> Iterator[Start]:
    """Starts the simulator with other settings and returns its API."""
    with ExitStack() as stack:

        def started(settings: Settings | None = None) -> Api:
            url = stack.enter_context(running_simulator(state, settings))
            return Api(stack.enter_context(httpx.Client(base_url=url, headers=BARE_HOST, timeout=10)))

        yield started


@pytest.fixture
def api(start: Start) -> Api:
    return start()
