"""A PostgreSQL that logs all it can, set as docs/security.md advises: its log holds nothing personal."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from vsync_dagster.embedded.postgres import embedded_postgres
from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.migrate import migrate
from vsync_dagster.reconcile.keys import KeyType
from vsync_dagster.simulator.local_base import seed_local
from vsync_dagster_tests.privacy.secrets import secret_entry, secrets_in
from vsync_dagster_tests.world import ISPB, World, running_world

DOCUMENT = Path(__file__).parents[2] / "docs" / "security.md"
TALKATIVE = {
    "log_min_messages": "info",
    "log_min_error_statement": "error",
    "log_error_verbosity": "verbose",
    "log_statement": "all",
    "log_min_duration_statement": "0",
    "log_parameter_max_length": "-1",
    "log_parameter_max_length_on_error": "-1",
}


def advised() -> dict[str, str]:
    """The settings that the document advises."""
    lines = re.findall(r"^(log_\w+) = '?([\w-]+)'?", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    assert len(lines) >= 5
    return dict(lines)


@contextmanager
def world_with_log(
    folder: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str]
) -> Iterator[tuple[World, Path]]:
    with embedded_postgres(folder, keep=False, settings={**TALKATIVE, **settings}) as url:
        migrate(Database(url))
        with running_world(Database(url), folder, monkeypatch) as world:
            yield world, folder / "postgres" / "log"


def sync_and_stumble(world: World) -> None:
    """Sync recognisable entries, and have the server refuse a key that is there already."""
    entries = [secret_entry(number, ISPB, key_type) for number, key_type in enumerate(KeyType)]
    for entry in entries:
        world.directory.create_entry(entry)
    world.settle()
    assert world.sync("FULL").entries_created == len(entries)
    for entry in entries:
        with pytest.raises(psycopg.errors.UniqueViolation), psycopg.connect(world.database.url) as connection:
            seed_local(connection, [entry])


@pytest.mark.parametrize(
    "but",
    [
        pytest.param({}, id="as advised"),
        pytest.param({"log_statement": "all", "log_min_duration_statement": "0"}, id="our statements hold no values"),
    ],
)
def test_the_log_of_a_server_that_is_set_as_advised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, but: dict[str, str]
) -> None:
    with world_with_log(tmp_path, monkeypatch, {**advised(), **but}) as (world, log):
        sync_and_stumble(world)
        written = log.read_bytes()

    assert b"duplicate key value" in written, "the log tells what went wrong"
    assert not secrets_in(written)


def test_the_log_of_one_that_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with world_with_log(tmp_path, monkeypatch, {}) as (world, log):
        sync_and_stumble(world)
        assert secrets_in(log.read_bytes())
