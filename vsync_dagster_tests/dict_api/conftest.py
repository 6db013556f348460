from collections.abc import Iterator

import pytest

from vsync_dagster.dict_api.exchange import http_client
from vsync_dagster_tests.dict_api.parts import Line
from vsync_dagster_tests.dict_api.server import ScriptedServer, scripted_server


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as running:
        yield running


@pytest.fixture
def line(server: ScriptedServer) -> Iterator[Line]:
    with http_client(server.url, timeout=5) as http:
        yield Line(http)
