"""Commands for a participant with letters in its ISPB: the case that was registered is the only one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from vsync_dagster.local_db.database import Database
from vsync_dagster_tests.cli.conftest import Command
from vsync_dagster_tests.world import World, running_world

ISPB, OTHER_SPELLING = "abCD1234", "ABcd1234"


@pytest.fixture
def world(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A participant with letters in its ISPB, and a DICT."""
    with running_world(database, tmp_path, monkeypatch, ispb=ISPB) as running:
        yield running


def test_commands_take_an_ispb_in_the_case_that_is_registered(world: World, synced: Command) -> None:
    ran = synced("sync", "--ispb", ISPB, "--json")
    assert (ran.status, ran.json["participant_ispb"], ran.json["verified"]) == (0, ISPB, True), ran.err
    assert synced("verify", "--ispb", ISPB).status == 0
    assert ISPB in synced("participants", "list").out
    assert ISPB in synced("report", "list", "--ispb", ISPB).out

    for arguments in (["sync", "--ispb"], ["verify", "--ispb"], ["participants", "disable"]):
        wrong = synced(*arguments, OTHER_SPELLING)
        assert (wrong.status, wrong.out) == (64, "")
        assert f"participant {OTHER_SPELLING} is not registered, {ISPB} is: upper and lower case differ" in wrong.err
    second = synced("participants", "add", OTHER_SPELLING)
    assert (second.status, "write it as it is registered" in second.err) == (2, True)

    assert world.sql("select participant_ispb from participants") == [(ISPB,)]
    assert world.sql("select participant_ispb from sync_reports") == [(ISPB,)], "a mistyped ISPB leaves no report"
    assert world.sql("select partition from dagster.dynamic_partitions") == [(ISPB,)]


def test_rows_in_another_case_are_pointed_out(world: World, synced: Command) -> None:
    world.populate(2)
    world.sql("update entries set participant_ispb = %s where key_type = 'CPF'", OTHER_SPELLING)

    told = synced("key-table", "check")

    assert f"{OTHER_SPELLING}: no sync sees these rows: the participant is registered as {ISPB}" in told.out
