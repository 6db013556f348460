"""The traps of the protocol, each in a whole sync: what must not be repaired, reported or believed."""

from dataclasses import replace
from typing import Any

import pytest

from vsync_dagster.reconcile.entry import Entry
from vsync_dagster.simulator.drift import drift
from vsync_dagster.simulator.faults import FaultKind
from vsync_dagster.simulator.local_base import seed_local
from vsync_dagster.simulator.operations import Operation
from vsync_dagster.simulator.population import generate
from vsync_dagster_tests.world import ISPB, World


def strangers(count: int, key_type: str = "PHONE") -> list[Entry]:
    """Entries that neither side holds yet."""
    return list(generate(ISPB, count, "strangers", [key_type]))


def hold_here(world: World, *entries: Entry) -> None:
    with world.database.connect() as connection:
        seed_local(connection, entries)


def test_a_row_that_no_longer_hashes_to_its_cid_is_repaired_by_a_full_sync(world: World) -> None:
    """No VSync can see it: the CID stored beside the row is still DICT's."""
    world.populate(25)
    key = world.key_of("EMAIL")
    world.sql("update entries set owner_name = 'Outro Nome' where key = %s", key)
    world.settle()

    incremental, full = world.sync("INCREMENTAL"), world.sync("FULL")

    assert (incremental.status, incremental.discrepancies) == ("COMPLETED", 0)
    assert (full.status, full.outdated_local, full.entries_updated) == ("COMPLETED", 1, 1)
    assert world.cids_here() == world.cids_at_dict()


def test_a_tampered_key_is_put_right_too(world: World) -> None:
    world.populate(25)
    key = world.key_of("PHONE")
    world.sql("update entries set key = '+5500000000000' where key = %s", key)
    world.settle()

    report = world.sync("FULL")

    assert (report.status, report.entries_updated) == ("COMPLETED", 1)
    assert world.sql("select count(*) from entries where key = %s and status = 'ACTIVE'", key) == [(1,)]


def test_a_row_whose_key_type_was_changed_beneath_its_cid_is_put_right(world: World) -> None:
    """The row says EMAIL of the CID, and DICT's sets say PHONE: that is the set in which the CID was found."""
    world.populate(25)
    key = world.key_of("PHONE")
    world.sql("update entries set key_type = 'EMAIL' where key = %s", key)
    world.settle()

    report = world.sync("FULL")

    assert (report.error_message, report.status, report.entries_updated) == (None, "COMPLETED", 1)
    assert world.sql("select key_type from entries where key = %s", key) == [("PHONE",)]
    assert world.cids_here() == world.cids_at_dict()


def test_a_key_filed_under_the_wrong_type_breaks_two_vsyncs_and_is_one_difference(world: World) -> None:
    world.populate(25)
    entry = strangers(1)[0]
    world.directory.create_entry(entry)
    wrong = Entry(**{**{name: getattr(entry, name) for name in Entry.__slots__}, "key_type": "EMAIL"})
    hold_here(world, wrong)
    world.settle()

    report = world.sync("FULL")

    assert (report.status, report.discrepancies, report.outdated_local) == ("COMPLETED", 1, 1)
    assert [report.key_types[name]["before"] for name in ("PHONE", "EMAIL")] == ["NOK", "NOK"]
    assert world.cids_here() == world.cids_at_dict()


@pytest.mark.parametrize("status", ["PENDING", "DELETED"])
def test_rows_that_are_not_active_are_not_in_the_set(world: World, status: str) -> None:
    world.populate(25)
    hold_here(world, *strangers(2))
    world.sql("update entries set status = %s where key = any(%s)", status, [entry.key for entry in strangers(2)])

    assert world.sync().key_types["PHONE"]["before"] == "OK"


def test_a_key_under_claim_is_still_in_the_set_until_the_claim_is_confirmed(world: World) -> None:
    world.populate(25)
    key = world.key_of("PHONE")
    world.directory.open_claim(key)
    assert world.sync().key_types["PHONE"]["before"] == "OK"

    world.directory.confirm_claim(key)
    world.settle()
    report = world.sync()

    assert (report.missing_bacen, report.entries_deleted) == (1, 1)


def test_a_change_at_dict_after_our_snapshot_is_in_flight(world: World) -> None:
    """DICT's event is later than the snapshot less the lag: on its way to us, neither repaired nor a discrepancy."""
    world.populate(25)
    world.sync()
    drift(world.directory, None, ISPB, creates=1, updates=1, deletes=1, key_types=["CPF"])

    report = world.sync(log_lag_seconds=5.0)

    assert (report.discrepancies, report.entries_created, report.entries_updated, report.entries_deleted) == (
        0,
        0,
        0,
        0,
    )
    assert report.in_flight == 3
    assert (report.status, report.key_types["CPF"]["after"]) == ("PARTIAL", "NOK")

    world.settle()
    assert world.sync().status == "COMPLETED"


def test_an_update_back_and_forth_leaves_nothing_to_repair(world: World) -> None:
    """A, B, A: the same CID is added a second time; counting events instead of membership would flip it away."""
    world.populate(25)
    world.sync()
    key = world.key_of("CNPJ")
    name = world.directory.entry_by_key(key).entry.owner_name  # type: ignore[union-attr]
    world.directory.update_entry(key, owner_name="Outra Razao Social Ltda")
    world.directory.update_entry(key, owner_name=name)
    drift(world.directory, None, ISPB, creates=1, key_types=["CNPJ"])
    world.settle()

    report = world.sync()

    assert (report.status, report.discrepancies, report.key_types["CNPJ"]["source"]) == ("COMPLETED", 1, "EVENTS")


def test_changes_made_properly_on_both_sides_cost_no_repair(world: World) -> None:
    world.populate(25)
    world.sync()
    for entry in strangers(3):
        world.directory.create_entry(entry)
    hold_here(world, *strangers(3))
    gone = world.key_of("CPF")
    world.directory.delete_entry(gone)
    world.sql("update entries set status = 'DELETED', deleted_at = now() where key = %s", gone)

    report = world.sync()

    assert (report.status, report.discrepancies) == ("COMPLETED", 0)
    assert {told["before"] for told in report.key_types.values()} == {"OK"}


def test_local_drift_is_told_from_our_own_log_without_a_file(world: World) -> None:
    """A row deleted here alone: DICT's log knows nothing of it, our ledger since the last verification does."""
    world.populate(25)
    world.sync()
    world.sql("delete from entries where key = %s", world.key_of("EVP"))
    world.settle()

    report = world.sync()

    assert (report.status, report.entries_created, report.key_types["EVP"]["source"]) == ("COMPLETED", 1, "EVENTS")
    assert world.calls("createCidSetFile") == 0
    assert world.sql("select key_type from sync_state where log_read_to > now() - interval '1 minute'") == [("EVP",)]
    assert world.cids_here() == world.cids_at_dict()


def test_where_the_logs_cannot_explain_it_the_file_does(world: World) -> None:
    """Rows that came around the triggers: a restore, or a table swapped underneath."""
    world.populate(25)
    world.sync()
    world.sql("alter table entries disable trigger all")
    world.sql("delete from entries where key in (%s, %s)", world.key_of("EVP"), world.key_of("EVP", 1))
    world.sql("alter table entries enable trigger all")
    world.settle()

    report = world.sync()

    assert (report.status, report.entries_created, report.key_types["EVP"]["source"]) == ("COMPLETED", 2, "CID_FILE")
    assert world.cids_here() == world.cids_at_dict()


def test_a_log_that_knows_of_no_difference_is_not_believed_over_a_nok(world: World) -> None:
    """The log and the verified VSync say that all is well, DICT's verifier that it is not: the file tells."""
    world.populate(25)
    world.sync()
    world.directory.bulk_create(strangers(1))
    world.settle()

    report = world.sync()

    assert (report.status, report.entries_created, report.key_types["PHONE"]["source"]) == ("COMPLETED", 1, "CID_FILE")


def test_a_set_that_was_never_verified_goes_to_the_file(world: World) -> None:
    world.populate(25)
    drift(world.directory, None, ISPB, creates=1, key_types=["CPF"])
    world.settle()

    assert world.sync().key_types["CPF"]["source"] == "CID_FILE"


def test_since_reads_the_log_from_the_time_given(world: World) -> None:
    world.populate(25)
    drift(world.directory, None, ISPB, creates=2, key_types=["CPF"])
    world.settle()

    report = world.sync(since="2026-01-01T00:00:00Z")

    assert (report.status, report.key_types["CPF"]["source"]) == ("COMPLETED", "EVENTS")


def test_a_nok_is_asked_again_before_it_is_believed(world: World) -> None:
    """One question a key type and, after the lag, a second one for the key type that is NOK."""
    world.populate(25)
    drift(world.directory, None, ISPB, creates=1, key_types=["CPF"])
    world.settle()

    world.sync(dry_run=True)

    asked = world.sql(
        "select key_type, count(*) from dict_calls where operation = %s group by 1", "createSyncVerification"
    )
    assert dict(asked) == {"CPF": 2, "CNPJ": 1, "PHONE": 1, "EMAIL": 1, "EVP": 1}


def test_an_answer_with_another_content_than_its_cid_is_not_applied(world: World) -> None:
    world.populate(25)
    drift(world.directory, None, ISPB, creates=2, key_types=["CPF"])
    world.settle()
    world.directory.faults.add(Operation.GET_ENTRY_BY_CID, FaultKind.WRONG_ENTRY)

    report = world.sync()

    assert (report.status, report.entries_created, report.fixes_failed) == ("PARTIAL", 1, 1)
    assert len(world.cids_here() - world.cids_at_dict()) == 0
    assert world.sql("select outcome from fixes where error like %s", "%does not hash%") == [("INVALID",)]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"owner_name": "Ana\u0085Lima"}, "owner_name has control characters"),
        ({"account_number": "1" * 256}, "account_number is longer than 255 characters"),
    ],
)
def test_an_entry_that_cannot_be_held_is_skipped_and_the_others_go_on(
    world: World, change: dict[str, Any], reason: str
) -> None:
    world.populate(25)
    good, bad = strangers(2)
    world.directory.create_entry(good)
    world.directory.create_entry(replace(bad, **change))
    world.settle()

    report = world.sync("FULL")

    assert (report.status, report.entries_created, report.fixes_failed) == ("PARTIAL", 1, 1)
    assert world.sql("select error from fixes where outcome = 'INVALID'") == [
        (f"DICT's entry cannot be held here: {reason}",)
    ]


def test_an_entry_of_another_key_type_than_its_set_is_not_applied(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Applied, it would go into our CPF set and never out of the difference of the PHONE sets."""
    world.populate(25)
    world.sync()
    [stray] = strangers(1, "CPF")
    world.list_at_dict(stray, "PHONE", monkeypatch)
    world.settle()
    before = world.cids_here()

    report = world.sync()

    assert (report.status, report.entries_created, report.fixes_failed) == ("PARTIAL", 0, 1)
    assert world.sql("select error from fixes where outcome = 'INVALID'") == [
        ("DICT's entry cannot be held here: key_type is not that of the set in which the CID was found",)
    ]
    assert world.cids_here() == before


def test_a_truncated_or_altered_file_is_fetched_again_under_the_same_id(world: World) -> None:
    world.populate(25)
    drift(world.directory, None, ISPB, creates=1, key_types=["CPF"])
    world.settle()
    world.directory.faults.add(Operation.DOWNLOAD_CID_SET_FILE, FaultKind.FILE_TRUNCATED)

    report = world.sync("FULL")

    assert report.status == "COMPLETED"
    assert world.calls("createCidSetFile") == 1


def test_a_run_repeated_without_the_log_at_first_asks_for_no_second_file(world: World) -> None:
    world.populate(25)
    drift(world.directory, None, ISPB, creates=1, key_types=["CPF"])
    world.settle()
    world.directory.faults.add(Operation.LIST_CID_SET_EVENTS, FaultKind.STATUS, times=99, status=403)
    before = world.cids_here()
    left = world.sync("FULL")
    world.directory.faults.clear()
    assert (left.status, left.key_types["CPF"]["source"], world.cids_here()) == ("PARTIAL", "PENDING", before)
    assert world.calls("createCidSetFile") == 1

    report = world.sync("FULL")

    assert (report.status, world.cids_here()) == ("COMPLETED", world.cids_at_dict())
    assert world.calls("createCidSetFile") == 1
    drift(world.directory, None, ISPB, creates=1, key_types=["CPF"], seed=2)
    world.settle()
    world.sync("FULL")
    assert world.calls("createCidSetFile") == 2, "a later sync does not compare with an old file"


def test_a_dry_run_changes_nothing_and_says_what_it_would_do(world: World) -> None:
    world.populate(25)
    world.sync()
    drift(world.directory, None, ISPB, creates=2, updates=3, deletes=1)
    world.settle()
    before = world.cids_here()

    report = world.sync(dry_run=True)

    assert (report.dry_run, report.status) == (True, "PARTIAL")
    assert (report.missing_local, report.outdated_local, report.missing_bacen) == (2, 3, 1)
    assert (report.entries_created, report.entries_updated, report.entries_deleted) == (0, 0, 0)
    assert world.cids_here() == before
    assert world.sql("select count(*) from manual_review_queue") == [(0,)]


def test_a_past_day_is_a_catch_up_against_dict_as_it_is_now(world: World) -> None:
    from datetime import date

    world.populate(25)
    drift(world.directory, None, ISPB, creates=1)
    world.settle()

    report = world.sync(day=date(2026, 11, 1))

    assert (str(report.sync_day), report.status, report.entries_created) == ("2026-11-01", "COMPLETED", 1)
    assert report.sync_timestamp.date() != report.sync_day


def test_an_event_goes_with_each_fix_and_holds_nothing_personal(world: World) -> None:
    world.populate(25)
    world.sync()
    drift(world.directory, None, ISPB, creates=2, updates=2)
    world.settle()

    world.sync()

    events = world.sql("select event_type, payload::text from outbox order by id")
    kinds = [event[0] for event in events]
    assert kinds.count("vsync.entry.created") == 2
    assert kinds.count("vsync.entry.updated") == 2
    assert kinds.count("vsync.sync.completed") == 2
    personal = [value for row in world.sql("select key, owner_name, owner_tax_id from entries") for value in row]
    assert not [value for value in personal for event in events if value in event[1]]
