"""What tests of several rooms share: a real PostgreSQL, and a migrated database of their own for each test."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from vsync_dagster.embedded.postgres import embedded_postgres
from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.migrate import migrate
from vsync_dagster_tests import reliability

# Nothing here has to survive a crash, so nothing waits for the disk.
SERVER_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


LONG_TEST_SECONDS = 3_600


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests that take minutes a deadline of their own; all others have that of pyproject.toml."""
    for item in items:
        if item.get_closest_marker("long") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(LONG_TEST_SECONDS))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what `make reliability` and `make screenshots` ask for."""
    parser.addoption("--write-reliability", action="store_true", help="write docs/reliability.md's table of faults")
    parser.addoption("--write-screenshots", action="store_true", help="write docs/images/*.png")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Have a fault travel with its test's report, also from another process."""
    fault = reliability.fault_of(item)
    if fault is not None:
        item.user_properties.append(("fault", list(fault)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Write the table of faults where that was asked for, if no test failed and none was skipped."""
    if not config.getoption("--write-reliability"):
        return
    outcomes = terminalreporter.stats
    if any(outcomes.get(name) for name in ("failed", "error", "skipped")):
        terminalreporter.write_line("docs/reliability.md is left as it was: not every fault was tested")
        return
    passed = [name_and_row for report in outcomes.get("passed", []) for name_and_row in report.user_properties]
    reliability.write(reliability.Fault(*row) for name, row in passed if name == "fault")
    terminalreporter.write_line("docs/reliability.md is written")


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The server of VSYNC_TEST_DATABASE_URL, or else an embedded one of this process's own."""
    given = os.environ.get("VSYNC_TEST_DATABASE_URL")
    if given:
        yield given
        return
    # Not in pytest's own folder, which is private: as root, PostgreSQL runs as another user.
    with (
        tempfile.TemporaryDirectory(prefix="vsync-test-") as home,
        embedded_postgres(Path(home), keep=False, settings=SERVER_SETTINGS) as url,
    ):
        yield url


@pytest.fixture(scope="session")
def template_database(postgres_url: str) -> Iterator[str]:
    """The name of a migrated database to copy; nobody may be connected to it."""
    with _database(postgres_url) as (name, url):
        migrate(Database(url))
        yield name


@pytest.fixture
def database(postgres_url: str, template_database: str) -> Iterator[Database]:
    """A migrated database of the test's own, dropped afterwards."""
    with _database(postgres_url, template_database) as (_, url):
        yield Database(url)


@pytest.fixture
def empty_database(postgres_url: str) -> Iterator[Database]:
    """A database that was never migrated, dropped afterwards."""
    with _database(postgres_url) as (_, url):
        yield Database(url)


@contextmanager
def _database(server_url: str, template: str = "template1") -> Iterator[tuple[str, str]]:
    """Make a database and yield its name and URL. The name is new each time: other processes use the server too."""
    name = f"vsync_test_{uuid4().hex}"
    with psycopg.connect(server_url, autocommit=True) as server:
        # Copying files is three times as fast as logging the copy, which is the default of 15 and later.
        strategy = SQL(" strategy file_copy" if server.info.server_version >= 150_000 else "")
        server.execute(SQL("create database {} template {}{}").format(Identifier(name), Identifier(template), strategy))
    try:
        yield name, urlsplit(server_url)._replace(path=f"/{name}").geturl()
    finally:
        with psycopg.connect(server_url, autocommit=True) as server:
            server.execute(SQL("drop database {} with (force)").format(Identifier(name)))
