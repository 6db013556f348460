"""Snapshots in a folder and in an object store: whole or not there, and the last one made."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from vsync_dagster.partitions import SyncPartition
from vsync_dagster.reconcile.errors import PermanentError
from vsync_dagster.store import (
    AnotherInstallationError,
    SnapshotMissingError,
    SnapshotStore,
    StorageNotWritableError,
    Writer,
)

PARTITION = SyncPartition(date(2026, 11, 24), "12345678")
SCHEMA = pl.Schema({"cid": pl.Binary()})


@dataclass(frozen=True)
class Facts:
    taken_on: date
    sizes: dict[str, int]


FACTS = Facts(date(2026, 11, 24), {"CPF": 2})


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> SnapshotStore:
    return SnapshotStore(str(tmp_path) if request.param == "folder" else f"memory://{uuid4()}")


def write(store: SnapshotStore, snapshot_id: str, *cids: bytes) -> None:
    with store.write("local_snapshot", PARTITION, snapshot_id) as snapshot:
        for cid in cids:
            snapshot.table("entries").write(pl.DataFrame({"cid": [cid]}, SCHEMA))
        snapshot.table("tampered")
        snapshot.facts = FACTS


def test_what_is_written_is_read(store: SnapshotStore) -> None:
    write(store, "run-1", b"a", b"b")

    snapshot = store.read("local_snapshot", PARTITION)

    assert snapshot.snapshot_id == "run-1"
    assert snapshot.facts(Facts) == FACTS
    assert snapshot.scan("entries", SCHEMA).collect()["cid"].to_list() == [b"a", b"b"]
    assert snapshot.scan("tampered", SCHEMA).collect().schema == SCHEMA


def test_a_table_of_several_parts_is_one_table(store: SnapshotStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vsync_dagster.store._PART_ROWS", 2)
    write(store, "run-1", *(bytes([number]) for number in range(5)))

    read = store.read("local_snapshot", PARTITION).scan("entries", SCHEMA).collect()

    assert read["cid"].to_list() == [bytes([number]) for number in range(5)]


def test_an_arrow_table_is_read_as_it_was_written(store: SnapshotStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vsync_dagster.store._PART_ROWS", 2)
    schema = pl.Schema({"cid": pl.Array(pl.UInt8, 32)})
    written = pl.DataFrame({"cid": [[number] * 32 for number in range(5)]}, schema)
    with store.write("local_snapshot", PARTITION, "run-1") as snapshot:
        for row in written.iter_slices(1):
            snapshot.table("of any type: ../*?", "arrow").write(row)
        snapshot.facts = FACTS

    read = store.read("local_snapshot", PARTITION)

    assert read.tables == ["of any type: ../*?"]
    assert len(list(read.parts("of any type: ../*?", schema))) == 3
    assert_frame_equal(read.scan("of any type: ../*?", schema).collect(), written)
    with pytest.raises(pl.exceptions.SchemaError, match="has other columns than were asked for"):
        list(read.parts("of any type: ../*?", SCHEMA))


def test_the_last_snapshot_takes_the_place_of_the_one_before(store: SnapshotStore) -> None:
    write(store, "run-1", b"a")
    write(store, "run-2", b"b")

    assert store.read("local_snapshot", PARTITION).scan("entries", SCHEMA).collect()["cid"].to_list() == [b"b"]


def test_a_snapshot_that_breaks_off_leaves_the_one_before(store: SnapshotStore) -> None:
    write(store, "run-1", b"a")
    with pytest.raises(pl.exceptions.ShapeError), store.write("local_snapshot", PARTITION, "run-2") as snapshot:
        snapshot.table("entries").write(pl.DataFrame({"cid": [b"b"], "other": [1, 2]}))

    assert store.read("local_snapshot", PARTITION).snapshot_id == "run-1"


def test_a_snapshot_that_was_never_made_is_no_empty_one(store: SnapshotStore) -> None:
    with pytest.raises(SnapshotMissingError, match="materialize it first"):
        store.read("local_snapshot", PARTITION)


def test_a_store_without_its_driver_is_named() -> None:
    with pytest.raises(PermanentError, match=r"VSYNC_STORAGE_URL names a nowhere:// store"):
        SnapshotStore("nowhere://geheim@bucket/prefix")


def test_old_days_and_replaced_snapshots_are_outdated_and_what_is_read_is_not(store: SnapshotStore) -> None:
    write(store, "replaced", b"1")
    write(store, "kept", b"2")
    soon, long_ago = datetime.now(UTC) + timedelta(hours=1), datetime.now(UTC) - timedelta(days=1)

    assert store.outdated(PARTITION.day, long_ago) == [], "it may still be written"
    [replaced] = store.outdated(PARTITION.day, soon)
    assert replaced.endswith("/date=2026-11-24/ispb=12345678/replaced")
    store.remove(replaced)
    assert store.outdated(PARTITION.day, soon) == []
    assert store.read("local_snapshot", PARTITION).scan("entries", SCHEMA).collect()["cid"].to_list() == [b"2"]

    [day] = store.outdated(PARTITION.day + timedelta(days=1), long_ago)
    store.remove(day)
    with pytest.raises(SnapshotMissingError):
        store.read("local_snapshot", PARTITION)


def test_a_snapshot_that_was_never_finished_is_outdated_once_nothing_is_written_to_it(store: SnapshotStore) -> None:
    snapshot = store.write("local_snapshot", PARTITION, "given up").__enter__()
    snapshot.table("entries").write(pl.DataFrame({"cid": [b"1"]}, SCHEMA))
    snapshot.table("entries").close()
    assert store.outdated(PARTITION.day, datetime.now(UTC) - timedelta(days=1)) == []
    assert len(store.outdated(PARTITION.day, datetime.now(UTC) + timedelta(hours=1))) == 1


def test_a_snapshot_of_another_installation_is_neither_read_nor_replaced(tmp_path: Path) -> None:
    production = SnapshotStore(str(tmp_path), writer=Writer("production-2", lambda run: run.startswith("production")))
    tests = SnapshotStore(str(tmp_path), writer=Writer("tests-2", lambda run: run.startswith("tests")))
    write(production, "snapshot-1", b"a")
    with pytest.raises(AnotherInstallationError, match=r"12345678 on 2026-11-24 .* \(run production-2\)"):
        tests.read("local_snapshot", PARTITION)
    with pytest.raises(AnotherInstallationError):
        write(tests, "snapshot-2", b"b")
    snapshot = production.read("local_snapshot", PARTITION)
    assert snapshot.scan("entries", SCHEMA).collect()["cid"].to_list() == [b"a"]


def test_a_snapshot_of_an_earlier_run_of_this_installation_is_replaced(tmp_path: Path) -> None:
    for number in (1, 2):
        store = SnapshotStore(str(tmp_path), writer=Writer(f"run-{number}", lambda run: run == "run-1"))
        write(store, f"snapshot-{number}")
        assert store.read("local_snapshot", PARTITION).snapshot_id == f"snapshot-{number}"


def test_a_disk_that_is_full_is_an_error_of_the_storage(tmp_path: Path) -> None:
    store = SnapshotStore(str(tmp_path))
    folder = tmp_path / "local_snapshot" / "date=2026-11-24" / "ispb=12345678" / "run-1" / "entries"
    folder.mkdir(parents=True)
    for kind in ("parquet", "arrow"):
        (folder / f"part-00000.{kind}").symlink_to("/dev/full")
    with pytest.raises(StorageNotWritableError, match=r"No space left on device.*VSYNC_STORAGE_URL") as caught:
        write(store, "run-1", b"a")
    assert str(tmp_path) not in str(caught.value)


def test_a_folder_that_cannot_be_made_is_an_error_of_the_storage(tmp_path: Path) -> None:
    (tmp_path / "local_snapshot").write_text("no folder")
    with pytest.raises(StorageNotWritableError, match=r"cannot be written .*VSYNC_STORAGE_URL"):
        write(SnapshotStore(str(tmp_path)), "run-1", b"a")


def test_credentials_that_are_missing_are_an_error_of_the_storage(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    with pytest.raises(StorageNotWritableError, match=r"cannot be written \(NoCredentialsError\).*credentials"):
        write(SnapshotStore("s3://vsync-test-bucket/snapshots"), "run-1", b"a")
