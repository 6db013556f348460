"""Whatever ends a run, its servers end with it, and the next run finds its data."""

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import psutil
import pytest

from vsync_dagster.embedded.broker import embedded_broker
from vsync_dagster.embedded.postgres import embedded_postgres
from vsync_dagster.reconcile.errors import PermanentError, TransientError
from vsync_dagster_tests.embedded.runs import SERVERS, all_gone, end_run, main_server, servers_of, start_run, wait_until

Embedded = Callable[[Path], AbstractContextManager[str]]
NewProcesses = Callable[[], list[psutil.Process]]
BOTH = pytest.mark.parametrize("server", [embedded_postgres, embedded_broker])
BOTH_NAMES = pytest.mark.parametrize("server", SERVERS)


@pytest.fixture(autouse=True)
def nothing_left(new_processes: NewProcesses) -> Iterator[None]:
    yield
    assert not new_processes(), "a server or a lifeline is left running"


@BOTH
def test_a_server_ends_with_its_block(server: Embedded, home: Path, new_processes: NewProcesses) -> None:
    with server(home):
        started = new_processes()
    assert len(started) >= 2
    assert all_gone(started)


@BOTH
def test_a_server_ends_with_an_exception(server: Embedded, home: Path, new_processes: NewProcesses) -> None:
    with pytest.raises(LookupError), server(home):  # noqa: PT012 - the exception must come out of the block
        started = new_processes()
        raise LookupError
    assert all_gone(started)


@BOTH
def test_a_home_is_of_one_run_at_a_time(server: Embedded, home: Path) -> None:
    with server(home), pytest.raises(TransientError, match=r"in use by process \d+: stop that one"), server(home):
        pass


@BOTH
def test_two_homes_run_side_by_side(server: Embedded, home: Path, other_home: Path) -> None:
    with server(home) as one, server(other_home) as another:
        assert one != another


@BOTH
def test_a_home_that_cannot_be_written_is_one_clear_line(server: Embedded, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(PermanentError, match="set VSYNC_HOME to a folder of yours"), server(blocked):
        pass


@BOTH_NAMES
def test_ctrl_c_stops_the_server(server: str, home: Path) -> None:
    run, _ = start_run(server, home)
    started = servers_of(run)
    run.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in end_run(run)
    assert all_gone(started)


@BOTH_NAMES
@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGKILL, signal.SIGHUP])
def test_the_lifeline_stops_the_server_of_a_run_that_died(server: str, signal_number: int, home: Path) -> None:
    run, _ = start_run(server, home)
    started = servers_of(run)
    run.send_signal(signal_number)
    end_run(run)
    assert wait_until(lambda: all_gone(started))


@pytest.mark.parametrize(
    ("server", "name"), [(embedded_postgres, "embedded_postgres"), (embedded_broker, "embedded_broker")]
)
def test_the_next_run_ends_what_even_the_lifeline_left(server: Embedded, name: str, home: Path) -> None:
    run, url = start_run(name, home)
    started = servers_of(run)
    orphan = main_server(started)
    for process in started:
        if process.name() == "sh":
            process.kill()
    run.kill()
    end_run(run)
    assert orphan.is_running()
    with server(home) as new_url:
        assert all_gone([orphan])
        assert new_url != url
