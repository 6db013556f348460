"""A run that breaks off: one FAILED report, whatever asset it was, and nothing personal in it."""

from collections.abc import Generator

import dagster as dg
import psycopg
import pytest

from vsync_dagster.definitions import defs
from vsync_dagster.jobs import SYNC_JOB
from vsync_dagster.local_db import snapshot
from vsync_dagster.local_db.cid_rows import CidBlock
from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.local_db.reports import Report
from vsync_dagster.partitions import SyncPartition
from vsync_dagster.simulator.drift import drift
from vsync_dagster.simulator.faults import FaultKind
from vsync_dagster.simulator.operations import Operation
from vsync_dagster.simulator.population import generate
from vsync_dagster.store import SnapshotStore
from vsync_dagster.sync.spool import spooled
from vsync_dagster_tests.world import DAY, ISPB, World

ASSETS = ["local_snapshot", "bacen_snapshot", "discrepancies", "applied_fixes", "sync_report"]
NOTHING_CHANGED = f"no key was changed; then run `vsync sync --ispb {ISPB}` again"


@pytest.mark.parametrize("asset", ASSETS)
def test_a_failure_in_any_asset_leaves_one_failed_report(
    world: World, asset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.populate(25)
    drift(world.directory, None, ISPB, creates=1)
    world.settle()
    secret = world.key_of("EMAIL")
    monkeypatch.setattr(SnapshotStore, "write", _failing(asset, secret))
    if asset == "sync_report":
        monkeypatch.setattr("vsync_dagster.assets.sync_report.build_report", _raiser(secret))

    report = world.sync()

    assert (report.status, report.verified) == ("FAILED", False)
    assert report.error_message is not None
    assert "ValueError in" in report.error_message
    changed = "fixes applied before it: 1, which stay" if report.entries_created else "no key was changed"
    assert f"; {changed}; then run `vsync sync --ispb {ISPB}` again (see " in report.error_message
    assert report.error_message.endswith(" (see docs/messages.md#unexpected)")
    assert secret not in report.error_message
    assert world.sql("select count(*) from sync_reports") == [(1,)]
    events = [str(record.event_log_entry) for record in _events(world.instance, report.run_id)]
    assert events
    assert any("See docs/messages.md#unexpected" in event for event in events), "Dagster links to what to do"
    assert not [event for event in events if secret in event], "the error's own text reached Dagster's log"


def _failing(asset: str, secret: str) -> object:
    write = SnapshotStore.write

    def failing(self: SnapshotStore, name: str, partition: SyncPartition, snapshot_id: str) -> object:
        if name == asset:
            raise ValueError(secret)
        return write(self, name, partition, snapshot_id)

    return failing


def _raiser(secret: str) -> object:
    def failing(*_: object) -> None:
        raise ValueError(secret)

    return failing


def _events(instance: dg.DagsterInstance, run_id: str) -> list[dg.EventLogRecord]:
    return list(instance.get_records_for_run(run_id).records)


def test_fixes_applied_before_the_failure_are_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.populate(25)
    drift(world.directory, None, ISPB, creates=3)
    world.settle()
    monkeypatch.setattr("vsync_dagster.assets.sync_report.build_report", _raiser("x"))

    report = world.sync()

    assert (report.status, report.entries_created) == ("FAILED", 3)


def test_without_postgres_the_report_is_spooled_and_written_by_the_next_run(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.populate(25)
    failed = _sync_without_postgres(world, monkeypatch)

    assert spooled(world.variables.home, failed.run_id) == failed
    assert "database" in str(failed.error_message).lower()

    assert world.sync().status == "COMPLETED"
    assert world.sql("select count(*) from sync_reports where run_id = %s", failed.run_id) == [(1,)]
    assert spooled(world.variables.home, failed.run_id) is None


def test_a_spooled_report_goes_only_into_the_database_that_it_was_meant_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.populate(25)
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("VSYNC_DATABASE_URL", f"{world.database.url}_of_production")
        failed = _sync_without_postgres(world, monkeypatch)

    assert world.sync().status == "COMPLETED"
    assert world.sql("select count(*) from sync_reports where run_id = %s", failed.run_id) == [(0,)]
    assert spooled(world.variables.home, failed.run_id) == failed, "it waits on"


def _sync_without_postgres(world: World, monkeypatch: pytest.MonkeyPatch) -> Report:
    """Sync while no connection can be made; without waiting between the attempts."""

    def refuse(*_: object, **__: object) -> object:
        raise psycopg.OperationalError

    with monkeypatch.context() as down:
        down.setattr(psycopg, "connect", refuse)
        down.setattr("vsync_dagster.local_db.database.wait_exponential", lambda **_: lambda _: 0.0)
        report = world.sync()
    assert report.status == "FAILED"
    return report


@pytest.mark.long  # the pauses between ten attempts are real
def test_dict_unavailable_until_no_attempt_is_left(world: World) -> None:
    world.populate(25)
    world.directory.faults.add(Operation.CREATE_SYNC_VERIFICATION, FaultKind.STATUS, times=99, status=500)

    report = world.sync()

    assert report.status == "FAILED"
    assert world.directory.faults.pending(Operation.CREATE_SYNC_VERIFICATION) == 89, "ten attempts"


def test_a_passing_fault_at_each_operation_does_no_harm(world: World) -> None:
    world.populate(25)
    drift(world.directory, None, ISPB, creates=2, updates=2, deletes=1)
    world.settle()
    for operation in (
        Operation.CREATE_SYNC_VERIFICATION,
        Operation.CREATE_CID_SET_FILE,
        Operation.GET_CID_SET_FILE,
        Operation.LIST_CID_SET_EVENTS,
        Operation.GET_ENTRY_BY_CID,
    ):
        world.directory.faults.add(operation, FaultKind.STATUS, status=503, retry_after=0)
    world.directory.faults.add(Operation.GET_ENTRY_BY_CID, FaultKind.GARBAGE)

    report = world.sync("FULL")

    assert (report.status, report.entries_created, report.entries_updated) == ("COMPLETED", 2, 2)


def materialize(world: World, *assets: str) -> str:
    """Materialize some of the assets in a run of their own, as a person may in the UI."""
    result = defs.resolve_job_def(SYNC_JOB).execute_in_process(
        instance=world.instance,
        partition_key=SyncPartition(DAY, ISPB).key,
        asset_selection=[dg.AssetKey(name) for name in assets],
        run_config={"resources": {"settings": {"config": world.settings}}},
        raise_on_error=False,
    )
    return result.run_id


def test_a_customers_change_between_comparison_and_repair_is_not_overwritten(world: World) -> None:
    world.populate(25)
    world.sync()
    drift(world.directory, None, ISPB, updates=2, key_types=["CPF"])
    world.settle()
    materialize(world, "local_snapshot", "bacen_snapshot", "discrepancies")
    changed = world.sql(
        """
        update entries set account_number = '4711', updated_at = now(), cid = sha256('changed by the customer')
        where cid = (select cid from entries where key_type = 'CPF' and status = 'ACTIVE'
                     and cid <> all(%s) limit 1) returning entry_id
        """,
        sorted(world.cids_at_dict()),
    )

    run_id = materialize(world, "applied_fixes", "sync_report")

    assert world.sql("select account_number from entries where entry_id = %s", changed[0][0]) == [("4711",)]
    report = world.sql("select entries_updated, in_flight, fixes_failed from sync_reports where run_id = %s", run_id)
    assert report == [(1, 1, 0)]


def test_repairing_twice_by_one_comparison_applies_nothing_twice(world: World) -> None:
    world.populate(25)
    world.sync()
    drift(world.directory, None, ISPB, creates=2, updates=2)
    world.settle()
    world.sync()
    events = world.sql("select count(*) from cid_events")
    published = world.sql("select count(*) from outbox where event_type <> 'vsync.sync.completed'")

    materialize(world, "applied_fixes")

    assert world.sql("select count(*) from cid_events") == events
    assert world.sql("select count(*) from outbox where event_type <> 'vsync.sync.completed'") == published


def test_snapshots_that_do_not_belong_together_are_refused(world: World) -> None:
    world.populate(25)
    world.sync()
    materialize(world, "local_snapshot")

    run_id = materialize(world, "discrepancies")

    reports = world.sql("select status, error_message from sync_reports where run_id = %s", run_id)
    why = "bacen_snapshot was compared with another local_snapshot: materialize it again"
    assert reports == [("FAILED", f"{why}; {NOTHING_CHANGED} (see docs/messages.md#snapshot-mismatch)")]


def test_a_snapshot_that_was_never_made_is_named(world: World) -> None:
    world.instance.add_dynamic_partitions("ispb", [ISPB])

    run_id = materialize(world, "bacen_snapshot")

    reports = world.sql("select status, error_message from sync_reports where run_id = %s", run_id)
    why = f"there is no local_snapshot for {ISPB} on {DAY}: materialize it first"
    assert reports == [("FAILED", f"{why}; {NOTHING_CHANGED} (see docs/messages.md#snapshot-missing)")]


def test_snapshots_hold_nothing_personal(world: World) -> None:
    world.populate(40)
    drift(world.directory, None, ISPB, creates=2, updates=2, deletes=1)
    world.settle()
    world.sync("FULL")

    written = b"".join(path.read_bytes() for path in world.variables.home.rglob("*") if path.is_file())

    assert written
    rows = world.sql("select key, owner_name, owner_tax_id, request_id::text from entries")
    assert not [value for row in rows for value in row if value.encode() in written]


def test_a_cid_that_dict_removes_after_its_look_up_is_not_applied(world: World) -> None:
    world.populate(25)
    world.sync()
    created = drift(world.directory, None, ISPB, creates=1, key_types=["CPF"]).created[0]
    world.settle()
    materialize(world, "local_snapshot", "bacen_snapshot", "discrepancies")
    world.directory.delete_entry(world.directory.entry_by_cid(created).entry.key)  # type: ignore[union-attr]
    world.settle()

    materialize(world, "applied_fixes")

    assert world.sql("select outcome from fixes where cid = %s", created) == [("MOVED",)]
    assert created not in world.cids_here()


def test_a_key_that_dict_holds_again_at_the_second_look_is_not_put_up_for_review(world: World) -> None:
    world.populate(25)
    world.sync()
    entry = next(world.directory.entries(ISPB, "CPF"))
    world.directory.delete_entry(entry.key)
    world.settle()
    materialize(world, "local_snapshot", "bacen_snapshot", "discrepancies")
    world.directory.create_entry(entry)

    materialize(world, "applied_fixes")

    assert world.sql("select outcome from fixes where cid = %s", entry.cid()) == [("MOVED",)]
    assert world.sql("select count(*) from manual_review_queue") == [(0,)]


def test_a_log_that_contradicts_the_file_is_not_used(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.populate(25)
    drift(world.directory, None, ISPB, creates=1, key_types=["CPF"])
    world.directory.bulk_create(generate(ISPB, 1, "no event tells of it", ["CPF"]))
    world.settle()
    assert len(world.cids_at_dict() - world.cids_here()) == 2

    report = world.sync("FULL")

    assert "CPF: DICT's event log does not fit its CID file; using the file" in caplog.messages
    assert (report.key_types["CPF"]["source"], report.missing_local, report.entries_created) == ("CID_FILE", 2, 2)
    assert world.cids_here() == world.cids_at_dict()
    assert (report.status, report.verified, report.key_types["CPF"]["proof"]) == ("COMPLETED", True, "VSYNC")


def test_a_read_of_our_base_that_breaks_off_is_begun_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.populate(25)
    whole = snapshot._blocks
    broken: list[bool] = []

    def breaking(database: Database, connection: Connection, ispb: str, integrity: bool) -> Generator[CidBlock]:
        yield from whole(database, connection, ispb, integrity)
        if not broken:
            broken.append(True)
            connection.execute("select pg_terminate_backend(pg_backend_pid())")

    monkeypatch.setattr(snapshot, "_blocks", breaking)

    report = world.sync()

    assert broken
    assert (report.status, report.entries_synced) == ("COMPLETED", 25), "no block of the first try is counted twice"
