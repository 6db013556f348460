"""A DICT that grants less than a sync needs: it does what fits, says when to go on, and the next sync does go on."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from vsync_dagster.local_db.database import Database
from vsync_dagster.simulator.buckets import Limit
from vsync_dagster.simulator.drift import drift
from vsync_dagster.simulator.faults import FaultKind
from vsync_dagster.simulator.local_base import seed_local
from vsync_dagster.simulator.operations import Operation
from vsync_dagster.simulator.population import generate
from vsync_dagster.simulator.settings import Settings
from vsync_dagster_tests.reliability import fault
from vsync_dagster_tests.world import DAY, ISPB, LAG, World, running_world

LOOK_UPS, FILES, EVENTS, VERIFY = (
    "CIDS_ENTRIES_READ",
    "CIDS_FILES_WRITE",
    "CIDS_EVENTS_LIST",
    "SYNC_VERIFICATIONS_WRITE",
)
NEVER = 86_400

WorldOf = Callable[..., World]


@pytest.fixture
def world_of(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WorldOf]:
    """A participant without keys, and a DICT with some buckets of its own, for which no sync waits."""
    with ExitStack() as stack:

        def begin(**limits: Limit) -> World:
            settings = Settings(log_lag=timedelta(seconds=LAG), file_delay=timedelta(0), limits=limits)
            world = stack.enter_context(running_world(database, tmp_path, monkeypatch, settings))
            monkeypatch.setenv("VSYNC_BUDGET_WAIT_SECONDS", "0")
            return world

        yield begin


def refill(world: World, policy: str) -> None:
    """Let a day go by for one bucket, on both sides."""
    world.sql("update dict_budgets set updated_at = updated_at - interval '1 day' where policy = %s", policy)
    with world.directory.file.writing() as file:
        file.execute("update buckets set updated_at = updated_at - 86400000 where policy = ?", [policy])


def answered_look_ups(world: World) -> int:
    return world.directory.calls.total(Operation.GET_ENTRY_BY_CID)


@fault(
    "Budgets",
    "fewer look-ups granted than are needed",
    "What fits is looked up and repaired: PARTIAL, with the time to go on; the next sync, of that day or another, looks"
    " up the rest and is COMPLETED.",
)
@pytest.mark.parametrize("next_day", [DAY, DAY + timedelta(days=1)])
def test_look_ups_that_do_not_fit_are_left_for_the_next_sync(world_of: WorldOf, next_day: date) -> None:
    # One token of twelve is kept back.
    world = world_of(**{LOOK_UPS: Limit(12, 12, NEVER)})
    world.populate(10, key_types=["CPF"])
    world.sync()
    drift(world.directory, None, ISPB, creates=20, key_types=["CPF"])
    world.settle()

    first = world.sync()

    assert (first.status, first.verified) == ("PARTIAL", False)
    assert (first.entries_created, first.pending, first.discrepancies, first.fixes_failed) == (11, 9, 11, 0)
    assert first.key_types["CPF"]["after"] == "NOK"
    assert first.plan is not None
    assert first.plan["tokens"][LOOK_UPS] == 20
    assert first.plan["granted"][LOOK_UPS] == 11
    assert first.resume_at is not None
    assert first.resume_at > datetime.now(UTC), "the bucket is empty"
    told = f"9 differences wait for DICT's budget; sync again from {first.resume_at.isoformat(timespec='seconds')} on"
    assert str(first.error_message).startswith(told)
    assert len(world.cids_here()) == 10 + 11

    refill(world, LOOK_UPS)
    second = world.sync(day=next_day)

    assert (second.status, second.verified, second.pending, second.resume_at) == ("COMPLETED", True, 0, None)
    assert second.entries_created == 9
    assert world.cids_here() == world.cids_at_dict()
    assert answered_look_ups(world) == 20, "nothing is looked up twice"


def test_a_dry_run_keeps_what_it_paid_for(world_of: WorldOf) -> None:
    world = world_of(**{LOOK_UPS: Limit(12, 12, NEVER)})
    world.populate(10, key_types=["CPF"])
    drift(world.directory, None, ISPB, creates=20, key_types=["CPF"])
    world.settle()

    dry = world.sync("FULL", dry_run=True)

    assert (dry.status, dry.pending, dry.entries_created) == ("PARTIAL", 9, 0)
    assert dry.resume_at is not None
    refill(world, LOOK_UPS)
    assert world.sync("FULL", day=DAY + timedelta(days=1)).entries_created == 20
    assert answered_look_ups(world) == 20


def test_a_key_that_was_updated_at_dict_does_not_pass_for_one_that_dict_lost(world_of: WorldOf) -> None:
    world = world_of(**{LOOK_UPS: Limit(12, 12, NEVER)})
    world.populate(25, key_types=["CPF"])
    world.sync()
    drift(world.directory, None, ISPB, updates=15, key_types=["CPF"])
    world.settle()

    first = world.sync()

    assert (first.status, first.entries_updated, first.missing_bacen) == ("PARTIAL", 11, 0)
    assert first.pending == 2 * 4, "both CIDs of each key"
    assert world.sql("select count(*) from manual_review_queue") == [(0,)]
    refill(world, LOOK_UPS)
    assert (world.sync().status, world.cids_here()) == ("COMPLETED", world.cids_at_dict())


def test_second_looks_that_do_not_fit_are_left_too(world_of: WorldOf) -> None:
    world = world_of(**{LOOK_UPS: Limit(12, 12, NEVER)})
    world.populate(25, key_types=["CPF"])
    world.sync()
    drift(world.directory, None, ISPB, deletes=15, key_types=["CPF"])
    world.settle()

    first = world.sync()

    assert (first.status, first.missing_bacen, first.entries_deleted, first.pending) == ("PARTIAL", 15, 11, 4)
    refill(world, LOOK_UPS)
    second = world.sync()
    assert (second.status, second.entries_deleted, second.pending) == ("COMPLETED", 4, 0)


def test_a_mass_change_is_none_the_smaller_for_being_made_bit_by_bit(world_of: WorldOf) -> None:
    world = world_of(**{LOOK_UPS: Limit(4, 4, NEVER)})
    world.populate(25, key_types=["CPF"])
    drift(world.directory, None, ISPB, creates=20, key_types=["CPF"])
    world.settle()

    report = world.sync("FULL", mass_change_share=0.0, mass_change_keys=10)

    assert report.status == "FAILED"
    assert "20 of 25 keys would change" in str(report.error_message)
    assert len(world.cids_here()) == 25


@fault(
    "Budgets",
    "no token for a CID file",
    "The other key types are repaired and proved; nothing is concluded of this one: PARTIAL, with the time to go on.",
)
def test_a_key_type_without_a_file_is_not_compared_and_nothing_is_concluded_from_that(world_of: WorldOf) -> None:
    world = world_of(**{FILES: Limit(2, 2, NEVER)})
    world.populate(25)
    world.sync()
    drift(world.directory, None, ISPB, deletes=1, key_types=["EVP"])
    world.settle()
    assert world.sync().entries_deleted == 1
    drift(world.directory, None, ISPB, creates=2, key_types=["CPF", "EVP"])
    world.settle()

    first = world.sync("FULL")

    assert first.status == "PARTIAL"
    assert {name: told["source"] for name, told in first.key_types.items() if told["before"] == "NOK"} == {
        "CPF": "CID_FILE",
        "EVP": "PENDING",
    }
    assert (first.key_types["CPF"]["after"], first.key_types["EVP"]["after"]) == ("OK", "NOK")
    assert "not compared for want of budget: EVP" in str(first.error_message)
    assert first.resume_at is not None
    assert first.resume_at > datetime.now(UTC) + timedelta(hours=5)
    assert world.sql("select status from manual_review_queue") == [("PENDING",)], "DICT was not asked for this key"
    refill(world, FILES)
    second = world.sync("FULL")
    assert (second.status, second.entries_created) == ("COMPLETED", 1)


@pytest.mark.parametrize("operation", [Operation.GET_ENTRY_BY_CID, Operation.CREATE_CID_SET_FILE])
def test_a_429_that_would_last_too_long_ends_the_sync_in_time(world_of: WorldOf, operation: Operation) -> None:
    world = world_of()
    world.populate(25, key_types=["CPF"])
    drift(world.directory, None, ISPB, creates=3, key_types=["CPF"])
    world.settle()
    world.directory.faults.add(operation, FaultKind.STATUS, times=999, status=429)

    report = world.sync("FULL")

    assert (report.status, report.entries_created, report.verified) == ("PARTIAL", 0, False)
    assert "sync again from" in str(report.error_message)
    assert world.calls(operation.value) <= 3, "each look-up that was under way, once"
    world.directory.faults.clear()
    refill(world, LOOK_UPS)
    refill(world, FILES)
    assert world.sync("FULL").status == "COMPLETED"


def test_a_repair_that_could_not_be_proved_is_not_called_proved(world_of: WorldOf) -> None:
    # Five verifications, and one again; none is left for the proof.
    world = world_of(**{VERIFY: Limit(7, 7, NEVER)})
    world.populate(25, key_types=["CPF"])
    drift(world.directory, None, ISPB, creates=1, key_types=["CPF"])
    world.settle()

    report = world.sync("FULL")

    assert (report.status, report.entries_created, report.verified) == ("PARTIAL", 1, False)
    assert report.resume_at is not None
    refill(world, VERIFY)
    assert world.sync().status == "COMPLETED"


def test_without_a_verification_nothing_is_compared(world_of: WorldOf) -> None:
    world = world_of(**{VERIFY: Limit(3, 3, NEVER)})
    world.populate(25)

    report = world.sync()

    assert (report.status, report.entries_synced, report.pending) == ("FAILED", 25, None)
    assert f"DICT's budget {VERIFY} is used up" in str(report.error_message)
    assert report.resume_at is not None
    assert report.resume_at > datetime.now(UTC) + timedelta(hours=6)


def test_the_file_is_taken_where_the_log_would_cost_more(world_of: WorldOf, monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_of(**{EVENTS: Limit(5, 5, 5)})
    world.populate(25, key_types=["CPF"])
    world.sync()
    # Four changes, a page each, where four pages are to be had and one of them is for what comes after the file.
    monkeypatch.setattr("vsync_dagster.sync.allowance.MAX_EVENTS_A_PAGE", 1)
    ours = list(generate(ISPB, 4, "both", ["CPF"]))
    for entry in ours:
        world.directory.create_entry(entry)
    with world.database.connect() as connection:
        seed_local(connection, ours)
    drift(world.directory, None, ISPB, creates=1, key_types=["CPF"])
    world.settle()

    report = world.sync()

    assert (report.status, report.key_types["CPF"]["source"]) == ("COMPLETED", "CID_FILE")
