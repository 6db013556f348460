"""INCREMENTAL syncs that read no table: what they cost, what they find, and when they read it after all."""

from collections.abc import Iterator
from contextlib import contextmanager

from vsync_dagster.simulator.drift import drift
from vsync_dagster_tests.world import ISPB, World

_A_KEY_OF_OURS_ALONE = """
insert into entries (key, key_type, participant_ispb, account_number, account_type, owner_tax_id, owner_name,
    request_id, cid, status)
values ('52998224725', 'CPF', '12345678', '1', 'CACC', '52998224725', 'Ana', gen_random_uuid(), sha256('x'), 'ACTIVE')
"""
_CHANGED_UNSEEN = "update entries set cid = sha256(cid) where key = %s"


def computed_from(world: World, **settings: object) -> tuple[str, set[str]]:
    report = world.sync(**settings)  # type: ignore[arg-type]
    return report.status, {told["computed_from"] for told in report.key_types.values()}


@contextmanager
def behind_the_ledgers_back(world: World) -> Iterator[None]:
    """Let changes pass that the ledger does not see."""
    names = [f"record_{what}_cids" for what in ("inserted", "updated", "deleted", "truncated")]
    world.sql("".join(f"alter table entries disable trigger {name};" for name in names))
    yield
    world.sql("".join(f"alter table entries enable always trigger {name};" for name in names))


def test_only_the_first_sync_reads_the_table(world: World) -> None:
    world.populate(50)
    assert computed_from(world) == ("COMPLETED", {"TABLE"})
    calls = world.calls()
    assert computed_from(world) == ("COMPLETED", {"LEDGER"})
    assert world.calls() - calls == 5
    assert computed_from(world, sync_type="FULL") == ("COMPLETED", {"TABLE"})
    assert computed_from(world) == ("COMPLETED", {"LEDGER"})


def test_the_report_says_since_when_the_ledger_is_trusted(world: World) -> None:
    world.populate(50)
    first = world.sync()
    world.sync()
    third = world.sync()
    assert {told["read_whole_at"] for told in third.key_types.values()} == {
        told["read_whole_at"] for told in first.key_types.values()
    }


def test_drift_is_found_repaired_and_proved_without_the_table(world: World) -> None:
    world.populate(50)
    world.sync()
    drift(world.directory, None, ISPB, creates=3, updates=3, deletes=3)
    world.sql("delete from entries where key = %s", world.key_of("EVP"))
    world.settle()

    report = world.sync()

    assert report.status == "COMPLETED"
    assert (report.entries_created, report.entries_updated, report.entries_deleted) == (4, 3, 3)
    assert {told["computed_from"] for told in report.key_types.values()} == {"LEDGER"}
    assert world.calls("createCidSetFile") == 0
    only_under_review = world.cids_here() - world.cids_at_dict()
    assert len(only_under_review) == 3
    assert world.cids_at_dict() <= world.cids_here()


def test_a_change_that_the_ledger_missed_is_found_by_the_full_sync(world: World) -> None:
    """DICT's OK proves the ledger, not the table behind its back; that is what the FULL sync is for."""
    world.populate(50)
    world.sync()
    with behind_the_ledgers_back(world):
        world.sql(_CHANGED_UNSEEN, world.key_of("EVP"))
    world.settle()

    assert computed_from(world) == ("COMPLETED", {"LEDGER"})
    report = world.sync("FULL")

    assert (report.status, report.discrepancies, report.entries_updated) == ("COMPLETED", 1, 1)
    assert world.cids_here() == world.cids_at_dict()


def test_where_the_logs_contradict_each_other_the_table_is_read(world: World) -> None:
    """The key was removed on both sides, here behind the ledger's back: our carried set is wrong, the table is not."""
    world.populate(50)
    world.sync()
    gone = next(entry for entry in world.directory.entries(ISPB, "EVP"))
    world.directory.delete_entry(gone.key)
    with behind_the_ledgers_back(world):
        world.sql("delete from entries where key = %s", gone.key)
    world.settle()

    report = world.sync()

    assert (report.status, report.discrepancies) == ("COMPLETED", 0)
    assert {told["computed_from"] for told in report.key_types.values()} == {"TABLE"}
    assert world.calls("createCidSetFile") == 0, "the table was right, and DICT said so"
    assert computed_from(world) == ("COMPLETED", {"LEDGER"})


def test_a_single_divergence_that_no_log_names_needs_no_file(world: World) -> None:
    """After a restore our log tells nothing; the XOR of both VSyncs is then the CID itself."""
    world.populate(50)
    world.sync()
    world.sql("update sync_state set cluster = 'restored'")
    with behind_the_ledgers_back(world):
        world.sql("delete from entries where key = %s", world.key_of("EVP"))
        world.sql("update entries set status = 'PENDING' where key = %s", world.key_of("CPF"))
    world.settle()

    report = world.sync()

    assert (report.status, report.missing_local) == ("COMPLETED", 2)
    assert report.key_types["PHONE"]["computed_from"] == "TABLE"
    assert world.calls("createCidSetFile") == 0
    assert world.cids_here() == world.cids_at_dict()


def test_two_divergences_that_no_log_names_take_the_file(world: World) -> None:
    world.populate(50)
    world.sync()
    world.sql("update sync_state set cluster = 'restored'")
    with behind_the_ledgers_back(world):
        for _ in range(2):
            world.sql("delete from entries where key = %s", world.key_of("EVP"))
    world.settle()

    report = world.sync()

    assert (report.status, report.missing_local, report.key_types["EVP"]["source"]) == ("COMPLETED", 2, "CID_FILE")
    assert world.calls("createCidSetFile") == 1


def test_a_single_key_that_only_we_hold_and_no_log_names_needs_no_file(world: World) -> None:
    world.populate(50)
    world.sync()
    world.sql("update sync_state set cluster = 'restored'")
    with behind_the_ledgers_back(world):
        world.sql(_A_KEY_OF_OURS_ALONE)
    world.settle()

    report = world.sync()

    assert (report.status, report.missing_bacen, report.entries_deleted) == ("COMPLETED", 1, 1)
    assert world.calls("createCidSetFile") == 0
