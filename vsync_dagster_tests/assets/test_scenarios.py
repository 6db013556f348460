"""The owner's six scenarios, for each key type and both sync types, through Dagster against PostgreSQL and HTTP."""

from datetime import timedelta

import pytest

from vsync_dagster.reconcile.keys import KeyType
from vsync_dagster.simulator.drift import drift
from vsync_dagster.simulator.faults import FaultKind
from vsync_dagster.simulator.operations import Operation
from vsync_dagster.simulator.population import generate
from vsync_dagster_tests.world import ISPB, World

SYNC_TYPES = ["FULL", "INCREMENTAL"]

both_sync_types = pytest.mark.parametrize("sync_type", SYNC_TYPES)
each_key_type = pytest.mark.parametrize("key_type", list(KeyType))


@both_sync_types
def test_1_nothing_differs(world: World, sync_type: str) -> None:
    world.populate(50)

    report = world.sync(sync_type)

    assert (report.error_message, report.status, report.verified, report.discrepancies) == (None, "COMPLETED", True, 0)
    assert report.entries_synced == 50
    assert {told["source"] for told in report.key_types.values()} == {"VERIFIED"}
    assert {told["proof"] for told in report.key_types.values()} == {"VSYNC"}
    assert world.calls("createSyncVerification") == 5, "a day without drift costs one question a key type"


@both_sync_types
@each_key_type
def test_2_keys_that_only_dict_holds_are_created(world: World, sync_type: str, key_type: KeyType) -> None:
    world.populate(25)
    world.sync()
    drift(world.directory, None, ISPB, creates=5, key_types=[key_type])
    world.settle()

    report = world.sync(sync_type)

    assert (report.status, report.missing_local, report.entries_created) == ("COMPLETED", 5, 5)
    assert report.entries_synced == 30
    assert world.cids_here() == world.cids_at_dict()
    told = report.key_types[key_type]
    assert (told["before"], told["after"]) == ("NOK", "OK")
    assert told["source"] == ("CID_FILE" if sync_type == "FULL" else "EVENTS")


@both_sync_types
@each_key_type
def test_3_keys_that_differ_become_what_dict_holds(world: World, sync_type: str, key_type: KeyType) -> None:
    world.populate(25)
    world.sync()
    drift(world.directory, None, ISPB, updates=5, key_types=[key_type])
    world.settle()

    report = world.sync(sync_type)

    assert (report.status, report.outdated_local, report.entries_updated) == ("COMPLETED", 5, 5)
    assert (report.missing_local, report.missing_bacen) == (0, 0), "one difference, not a pair of others"
    assert world.cids_here() == world.cids_at_dict()


@both_sync_types
@each_key_type
def test_4_keys_that_only_we_hold_are_put_up_for_review(world: World, sync_type: str, key_type: KeyType) -> None:
    world.populate(25)
    world.sync()
    drift(world.directory, None, ISPB, deletes=3, key_types=[key_type])
    world.settle()

    report = world.sync(sync_type)

    assert (report.status, report.missing_bacen, report.entries_deleted) == ("COMPLETED", 3, 3)
    told = report.key_types[key_type]
    assert (told["after"], told["proof"], told["under_review"]) == ("OK", "VSYNC_WITHOUT_REVIEW", 3)
    assert len(world.cids_here()) == 25, "nothing is deleted"
    items = world.sql("select key_type, status, reason, evidence from manual_review_queue")
    assert [item[:3] for item in items] == [(key_type, "PENDING", "MISSING_BACEN")] * 3
    assert all(item[3]["dict_removed_at"] and item[3]["second_look"] == "GONE" for item in items)


def test_5_what_cannot_be_applied_makes_it_partial_and_the_rest_goes_on(world: World) -> None:
    world.populate(25)
    world.sync()
    drift(world.directory, None, ISPB, creates=4)
    # Another participant of this base still holds one of the keys: a rule of the table forbids a second active row.
    taken = next(entry for entry in world.directory.entries(ISPB, "CPF") if world.sql(_COUNT, entry.key) == [(0,)])
    world.sql(_FOREIGN, taken.key)
    world.settle()

    report = world.sync()

    assert (report.status, report.entries_created, report.fixes_failed) == ("PARTIAL", 3, 1)
    assert not report.verified
    assert report.key_types["CPF"]["after"] == "NOK"
    assert "1 fixes were not applied" in str(report.error_message)
    kept = world.sql("select outcome, error from fixes where outcome = 'FAILED'")
    assert len(kept) == 1
    assert "another participant" in kept[0][1]


_COUNT = "select count(*) from entries where key = %s"
_FOREIGN = """
insert into entries (key, key_type, participant_ispb, account_number, account_type, owner_tax_id, owner_name,
    request_id, cid, status)
values (%s, 'CPF', '99999999', '1', 'CACC', '00000000000', 'Outra', gen_random_uuid(), sha256('x'), 'ACTIVE')
"""


def test_6_dict_down_makes_it_failed_and_changes_nothing(world: World) -> None:
    world.populate(25)
    drift(world.directory, None, ISPB, creates=2)
    before = world.cids_here()
    world.directory.faults.add(Operation.CREATE_SYNC_VERIFICATION, FaultKind.STATUS, times=99, status=403)

    report = world.sync()

    assert (report.status, report.verified) == ("FAILED", False)
    assert "DICT rejects createSyncVerification: Forbidden (HTTP 403)" in str(report.error_message)
    assert world.cids_here() == before
    assert world.sql("select count(*) from sync_reports") == [(1,)]
    assert world.sql("select event_type from outbox") == [("vsync.sync.completed",)]


@both_sync_types
def test_everything_at_once_and_then_nothing_new(world: World, sync_type: str) -> None:
    world.populate(200)
    world.sync()
    drift(world.directory, None, ISPB, creates=11, updates=12, deletes=6)
    world.settle()

    first = world.sync(sync_type)
    calls = world.calls()
    second = world.sync(sync_type)

    assert (first.status, first.entries_created, first.entries_updated, first.entries_deleted) == (
        "COMPLETED",
        11,
        12,
        6,
    )
    assert (second.status, second.discrepancies, second.verified) == ("COMPLETED", 0, True)
    assert (second.entries_created, second.entries_updated, second.entries_deleted) == (0, 0, 0)
    assert sum(told["under_review"] for told in second.key_types.values()) == 6
    assert world.calls() - calls == 5, "keys under review are taken out of the question, so nothing else is asked"
    assert world.sql("select count(*) from sync_reports") == [(3,)]


def test_the_first_sync_of_an_empty_base_creates_every_key(world: World) -> None:
    world.directory.bulk_create(generate(ISPB, 60, 1), log_from=None)
    world.settle()

    report = world.sync()

    assert (report.status, report.entries_created) == ("COMPLETED", 60)
    assert {told["source"] for told in report.key_types.values()} == {"CID_FILE"}
    assert world.cids_here() == world.cids_at_dict()


def test_bacens_acceptance_exercise(world: World) -> None:
    """IN BCB 508: 1,000 keys of one type; DICT changes and inserts some; a verification must then succeed."""
    world.populate(1_000, key_types=["PHONE"])
    drift(world.directory, None, ISPB, creates=30, updates=50, key_types=["PHONE"])
    world.settle()

    report = world.sync()

    assert (report.status, report.entries_created, report.entries_updated) == ("COMPLETED", 30, 50)
    assert report.key_types["PHONE"]["proof"] == "VSYNC"
    assert timedelta(milliseconds=report.duration_ms) < timedelta(hours=1)
    assert world.cids_here() == world.cids_at_dict()


def test_fixes_in_many_batches(world: World) -> None:
    """Two at a time, and what is recorded of each is its own."""
    world.populate(40)
    world.sync()
    drift(world.directory, None, ISPB, creates=9, updates=9, deletes=3)
    world.settle()

    report = world.sync("FULL", batch_size=2)

    assert (report.status, report.entries_created, report.entries_updated) == ("COMPLETED", 9, 9)
    assert world.cids_at_dict() < world.cids_here()
    recorded = "select cid, kind from fixes where outcome = 'APPLIED' and kind <> 'REVIEW'"
    assert {(cid, kind) for cid, kind in world.sql(recorded)} == {
        (bytes.fromhex(payload["cid"]), "CREATE" if event.endswith("created") else "UPDATE")
        for event, payload in world.sql(
            "select event_type, payload from outbox where starts_with(event_type, 'vsync.entry.')"
        )
    }
