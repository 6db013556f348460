from collections.abc import Iterator

import pytest

from vsync_dagster_tests.dict_api.server import Reply, ScriptedServer, scripted_server


@pytest.fixture
def chat() -> Iterator[ScriptedServer]:
    """A webhook that takes everything."""
    with scripted_server() as server:
        server.answer = lambda _: Reply()
        yield server


@pytest.fixture
def pager() -> Iterator[ScriptedServer]:
    """Another one."""
    with scripted_server() as server:
        server.answer = lambda _: Reply()
        yield server
