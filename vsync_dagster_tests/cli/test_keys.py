"""`vsync keys`, and what encrypts where: a key of its own with embedded data, given keys with a given database."""

import json
import stat
from pathlib import Path

import pytest

from vsync_dagster.cli.keys import key_of_home, new_key
from vsync_dagster.environment import Environment
from vsync_dagster.local_db.encryption import Cipher, key_id
from vsync_dagster.reconcile.errors import EnvironmentVariableError, NotStartedError
from vsync_dagster.simulator.drift import drift
from vsync_dagster_tests.cli.conftest import Command
from vsync_dagster_tests.world import ENCRYPTION_KEY, ISPB, World


def keys_of(value: str) -> tuple[bytes, ...]:
    return Environment({"VSYNC_ENCRYPTION_KEYS": value}).encryption_keys


def test_keys_are_read_newest_first() -> None:
    newest, older = new_key(), new_key()
    assert keys_of(f"{newest}, {older.rstrip('=')}") == (*keys_of(newest), *keys_of(older))
    assert len(keys_of(newest)[0]) == 32


@pytest.mark.parametrize(
    "malformed", ["geheim", ENCRYPTION_KEY[4:], ENCRYPTION_KEY + "geheim", f"{ENCRYPTION_KEY},", "é" * 43]
)
def test_a_malformed_key_is_told_and_not_shown(malformed: str) -> None:
    with pytest.raises(EnvironmentVariableError, match="VSYNC_ENCRYPTION_KEYS is malformed") as error:
        keys_of(malformed)
    assert malformed not in str(error.value)


def test_a_home_has_one_key_that_its_owner_alone_can_read(tmp_path: Path) -> None:
    key = key_of_home(tmp_path)
    assert key_of_home(tmp_path) == key
    assert len(keys_of(key)) == 1
    [file] = tmp_path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("command", [["sync"], ["demo"], ["dev"], ["keys", "rotate"]])
def test_with_a_given_database_keys_must_be_given(world: World, synced: Command, command: list[str]) -> None:
    ran = synced(*command, VSYNC_ENCRYPTION_KEYS=None)

    assert (ran.status, ran.out) == (64, "")
    said = "VSYNC_ENCRYPTION_KEYS is not set; `vsync keys generate` makes a key for it"
    assert ran.err == f"vsync: {said} (see docs/messages.md#environment-variable)\n"
    assert world.calls() == 0
    assert not world.variables.home.exists(), "nothing was begun"


def test_a_run_of_dagsters_own_stops_before_anything_else(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VSYNC_ENCRYPTION_KEYS")

    with pytest.raises(NotStartedError):
        world.sync()

    assert world.calls() == 0
    assert world.sql("select from sync_reports") == []


def test_a_key_is_replaced_while_details_stay_readable(world: World, synced: Command) -> None:
    world.populate(25)
    drift(world.directory, None, ISPB, creates=2, updates=1)
    world.settle()
    report = world.sync()
    generated = synced("keys", "generate").out.strip()
    both = f"{generated},{ENCRYPTION_KEY}"
    before = synced("report", "details", str(report.id))

    rotated = synced("keys", "rotate", VSYNC_ENCRYPTION_KEYS=both)
    after = synced("report", "details", str(report.id), VSYNC_ENCRYPTION_KEYS=generated)
    too_late = synced("keys", "rotate")

    assert (before.status, len(before.out.splitlines())) == (0, 3)
    newest = Cipher(keys_of(both)).newest
    assert f"fix_details: 3 rows encrypted again with key {newest}, 0 left\n" in rotated.out
    assert after.out == before.out
    assert all(json.loads(line)["after"]["owner_name"] for line in after.out.splitlines())
    assert too_late.status == 2
    assert (
        f"3 rows need keys that VSYNC_ENCRYPTION_KEYS does not hold ({key_id(keys_of(generated)[0])})" in too_late.err
    )
