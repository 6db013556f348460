"""`vsync outbox` as monitors and operators use it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from vsync_dagster.embedded.broker import embedded_broker
from vsync_dagster.embedded.process import LOOPBACK, free_port
from vsync_dagster.local_db import participants
from vsync_dagster.local_db.database import Database
from vsync_dagster_tests.cli.conftest import Command
from vsync_dagster_tests.events.parts import ISPBS, fill_outbox, read

TOPIC = "persistent://public/default/dict-events"


@pytest.fixture
def broker_url(tmp_path: Path) -> Iterator[str]:
    with embedded_broker(tmp_path / "broker") as url:
        yield url


@pytest.fixture
def vsync(database: Database, tmp_path: Path) -> Command:
    """The command with a database, and nothing else."""
    return Command({"VSYNC_DATABASE_URL": database.url}, tmp_path)


def test_what_waits_is_shown_and_published_and_published_again(
    database: Database, vsync: Command, broker_url: str
) -> None:
    fill_outbox(database, 7)
    with database.connect() as connection:
        for ispb in ISPBS:
            participants.add(connection, ispb)
    status = vsync("outbox", "status", "--json").json
    assert (status["depth"], [each["depth"] for each in status["participants"]]) == (7, [3, 2, 2])
    assert status["oldest_age_seconds"] >= 0
    assert f"{ISPBS[0]}          3 wait" in vsync("outbox", "status").out

    published = vsync("outbox", "replay", "--json", VSYNC_PULSAR_URL=broker_url)
    assert (published.status, published.json) == (0, {"again": 0, "published": 7, "left": 0}), published.err
    assert vsync("outbox", "status").out == "no event waits\n"

    of_one = vsync("outbox", "replay", "--ispb", ISPBS[1], "--since", "2020-01-01", VSYNC_PULSAR_URL=broker_url)
    assert (of_one.status, of_one.out) == (0, "2 events put back; published 2, 0 wait\n")
    message_id = read(broker_url, TOPIC)[0].properties["id"]
    by_id = vsync("outbox", "replay", message_id, "--json", VSYNC_PULSAR_URL=broker_url)
    assert by_id.json == {"again": 1, "published": 1, "left": 0}


def test_without_a_broker_nothing_is_put_back(database: Database, vsync: Command) -> None:
    ran = vsync("outbox", "replay", "--since", "2020-01-01")
    assert (ran.status, ran.err) == (
        64,
        (
            "vsync: VSYNC_PULSAR_URL is not set; set it, for example, to pulsar://host:6650"
            " (see docs/messages.md#environment-variable)\n"
        ),
    )


@pytest.mark.long  # the pauses between the tries are real
def test_a_broker_that_is_down_leaves_everything_waiting_and_says_so(database: Database, vsync: Command) -> None:
    fill_outbox(database, 1)
    ran = vsync("outbox", "replay", VSYNC_PULSAR_URL=f"pulsar://{LOOPBACK}:{free_port()}")
    assert (ran.status, ran.out) == (1, "0 events put back; published 0, 1 wait\n")
    assert "it stays in the outbox" in ran.err
    assert "3 tries, the last:" in vsync("outbox", "status").out
