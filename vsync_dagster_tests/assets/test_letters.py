"""ISPBs, CNPJs and account numbers with letters, in either case (DICT API 2.12.1), each in a whole sync."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from vsync_dagster.events.messages import payload_schema
from vsync_dagster.local_db.database import Database
from vsync_dagster.reconcile.entry import Entry
from vsync_dagster.simulator.drift import drift
from vsync_dagster.simulator.local_base import seed_local
from vsync_dagster.simulator.population import generate, lettered
from vsync_dagster_tests.world import World, running_world

INDIRECT = "zz00ZZ0z"


@pytest.fixture(params=["ABCD1234", "abcd1234"])
def ispb(request: pytest.FixtureRequest) -> str:
    """A direct participant's ISPB."""
    return str(request.param)


@pytest.fixture
def world(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ispb: str) -> Iterator[World]:
    """A participant with letters in its ISPB, without keys, and a DICT."""
    with running_world(database, tmp_path, monkeypatch, ispb=ispb) as running:
        yield running


def people(ispb: str, count: int, seed: str) -> list[Entry]:
    return list(lettered(generate(ispb, count, seed)))


def hold(world: World, entries: list[Entry]) -> None:
    """Give both sides the same entries."""
    world.directory.bulk_create(entries)
    with world.database.connect() as connection:
        seed_local(connection, entries)


def miss(world: World, entries: list[Entry]) -> None:
    """Let DICT create entries of which we hear nothing."""
    for entry in entries:
        world.directory.create_entry(entry)


@pytest.mark.parametrize("sync_type", ["INCREMENTAL", "FULL"])
def test_a_participant_with_letters_is_repaired_and_proved(world: World, ispb: str, sync_type: str) -> None:
    hold(world, people(ispb, 40, "held"))
    world.sync()
    drift(world.directory, None, ispb, updates=5, deletes=1)
    missing = people(ispb, 20, "missed")
    miss(world, missing)
    world.settle()

    report = world.sync(sync_type)

    assert (report.error_message, report.status, report.verified) == (None, "COMPLETED", True)
    assert (report.entries_created, report.entries_updated, report.entries_deleted) == (20, 5, 1)
    assert world.cids_at_dict() <= world.cids_here()
    keys = {entry.key for entry in missing if entry.key_type == "CNPJ"}
    assert {key.upper() == key for key in keys if not key.isdigit()} == {True, False}
    stored = world.sql("select key, participant_ispb, account_number, account_type from entries")
    for entry in missing:
        assert (entry.key, ispb, entry.account_number, entry.account_type) in stored
    assert {word for *_, word in stored} >= {"OTHR"}
    assert {sent for (sent,) in world.sql("select distinct participant_ispb from dict_calls")} == {ispb}


def test_an_indirect_participant_with_letters_is_synced_through_its_direct_one(world: World) -> None:
    world.join(INDIRECT)
    hold(world, people(INDIRECT, 20, "held"))
    miss(world, people(INDIRECT, 10, "missed"))
    world.settle()

    report = world.sync("FULL", ispb=INDIRECT)

    assert (report.participant_ispb, report.status, report.entries_created) == (INDIRECT, "COMPLETED", 10)
    assert world.cids_here(INDIRECT) == world.cids_at_dict(INDIRECT)


def test_what_is_published_keeps_to_its_schemas_and_to_the_case(world: World, ispb: str) -> None:
    miss(world, people(ispb, 5, "missed"))
    world.settle()
    assert world.sync("FULL").status == "COMPLETED"

    told = world.sql("select event_type, payload from outbox")
    assert {event_type for event_type, _ in told} == {"vsync.entry.created", "vsync.sync.completed"}
    for event_type, payload in told:
        Draft202012Validator(payload_schema(event_type)).validate(payload)
        assert payload["participant_ispb"] == ispb


def test_partitions_and_snapshots_keep_the_case(world: World, ispb: str) -> None:
    world.sync()

    assert world.instance.get_dynamic_partitions("ispb") == [ispb]
    folders = list(world.variables.home.rglob("date=*"))
    assert {path.name for folder in folders for path in folder.iterdir()} == {f"ispb={ispb}"}


def test_an_entry_that_names_us_in_the_other_case_is_reported_and_not_applied(
    world: World, ispb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It hashes to its CID with that spelling; with ours it could never be in the set that DICT verifies."""
    hold(world, people(ispb, 5, "held"))
    world.sync()
    [entry] = generate(ispb, 1, "other", ["CPF"])
    world.list_at_dict(replace(entry, participant=ispb.swapcase()), "CPF", monkeypatch)
    world.settle()

    report = world.sync()

    assert (report.status, report.missing_local, report.entries_created) == ("PARTIAL", 1, 0)
    assert world.sql("select outcome, error from fixes") == [
        ("INVALID", "DICT's entry names the participant in another case of letters than it is registered in")
    ]
