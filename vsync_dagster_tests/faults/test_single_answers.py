"""What is wrong with one CID, or with one key type, stops neither the others nor the sync."""

import functools
import time

import pytest

from vsync_dagster.dict_api.cid_file import wait_for_file
from vsync_dagster.resources import SyncSettings
from vsync_dagster.simulator.drift import drift
from vsync_dagster.simulator.faults import FaultKind
from vsync_dagster.simulator.operations import Operation
from vsync_dagster_tests.reliability import fault
from vsync_dagster_tests.world import ISPB, LAG, World

LOOK_UP, EVENTS = Operation.GET_ENTRY_BY_CID, Operation.LIST_CID_SET_EVENTS
CREATE, DOWNLOAD = Operation.CREATE_CID_SET_FILE, Operation.DOWNLOAD_CID_SET_FILE
ONE_CID = (
    "That CID is UNREADABLE, with DICT's CorrelationId; the others are repaired: PARTIAL; the next sync is COMPLETED."
)
ONE_TYPE = "That key type is PENDING; the other four are repaired and proved: PARTIAL; the next sync is COMPLETED."
TYPES = ["CPF", "PHONE", "EMAIL"]


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for the log's lag, and no longer for anything."""
    monkeypatch.setattr(SyncSettings, "sleep", lambda _, seconds: time.sleep(seconds if seconds <= LAG else 0))
    monkeypatch.setattr(
        "vsync_dagster.sync.cid_files.wait_for_file", functools.partial(wait_for_file, longest_wait=60.0)
    )


def miss_some(world: World, creates: int = 3) -> list[bytes]:
    """Let the participant miss some keys of three types each; returns the CIDs of the PHONE keys."""
    world.populate(25)
    world.sync()
    for key_type in TYPES:
        drift(world.directory, None, ISPB, creates=creates, key_types=[key_type])
    world.settle()
    here = world.cids_here()
    return sorted(cid for cid in world.directory.cids(ISPB, "PHONE") if cid not in here)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        pytest.param(kind, status, marks=fault("Look-up", f"{what}, for good, for one CID", ONE_CID), id=what)
        for what, kind, status in (
            ("400", FaultKind.STATUS, 400),
            ("500", FaultKind.STATUS, 500),
            ("a gateway's 502 in HTML", FaultKind.GATEWAY, 502),
            ("a gateway's 404 in HTML", FaultKind.GATEWAY, 404),
            ("404 with a signed problem of another status", FaultKind.OTHER_STATUS, 404),
            ("HTML instead of XML", FaultKind.GARBAGE, None),
        )
    ],
)
@pytest.mark.parametrize("sync_type", ["INCREMENTAL", "FULL"])
def test_one_bad_cid(world: World, sync_type: str, kind: FaultKind, status: int | None) -> None:
    bad, *_ = miss_some(world)
    world.directory.faults.add(LOOK_UP, kind, times=999, status=status, target=bad.hex())

    report = world.sync(sync_type)

    assert (report.status, report.entries_created, report.fixes_failed) == ("PARTIAL", 8, 1)
    assert "1 differences wait for CIDs that DICT cannot answer for" in str(report.error_message)
    assert world.cids_at_dict() - world.cids_here() == {bad}
    [(outcome, error)] = world.sql("select outcome, error from fixes where cid = %s", bad)
    assert outcome == "UNREADABLE"
    told = world.sql("select correlation_id from dict_calls where http_status = %s", status)
    assert any(str(correlation_id) in error for (correlation_id,) in told if correlation_id) == (
        kind is FaultKind.STATUS
    )
    assert report.resume_at is None
    world.directory.faults.clear()
    assert world.sync().status == "COMPLETED"


def test_a_cid_that_cannot_be_read_a_second_time_is_not_called_removed(world: World) -> None:
    """Without the log each entry is looked up again before it is applied; no answer does not mean that it is gone."""
    bad, *_ = miss_some(world)
    world.directory.faults.add(EVENTS, FaultKind.STATUS, times=999, after=1, status=400, target="PHONE")
    world.directory.faults.add(LOOK_UP, FaultKind.STATUS, times=999, after=1, status=400, target=bad.hex())

    report = world.sync("FULL")

    assert (report.status, report.entries_created, report.fixes_failed, report.in_flight) == ("PARTIAL", 8, 1, 0)
    [(outcome, error)] = world.sql("select outcome, error from fixes where cid = %s", bad)
    assert (outcome, error.startswith("DICT cannot answer for the CID: ")) == ("UNREADABLE", True)


@fault(
    "Look-up",
    "500, for good, for one CID, while keys of its type are missing at DICT",
    "None of these is put up for review: the CID may be one of theirs. PARTIAL.",
)
def test_a_key_that_may_be_behind_an_unreadable_cid_is_not_put_up_for_review(world: World) -> None:
    world.populate(25)
    world.sync()
    drift(world.directory, None, ISPB, updates=1, key_types=["CPF"])
    world.settle()
    [changed] = world.cids_at_dict() - world.cids_here()
    world.directory.faults.add(LOOK_UP, FaultKind.STATUS, times=999, status=500, target=changed.hex())

    report = world.sync("FULL")

    assert (report.status, report.fixes_failed) == ("PARTIAL", 2)
    assert world.sql("select count(*) from manual_review_queue") == [(0,)]
    world.directory.faults.clear()
    assert (world.sync().status, world.cids_here()) == ("COMPLETED", world.cids_at_dict())


@pytest.mark.parametrize(
    ("operation", "kind", "status"),
    [
        pytest.param(
            operation, kind, status, marks=fault(where, f"{what}, for good, for one key type", ONE_TYPE), id=what
        )
        for where, what, operation, kind, status in (
            ("Event log", "500", EVENTS, FaultKind.STATUS, 500),
            ("Event log", "a gateway's 502", EVENTS, FaultKind.GATEWAY, 502),
            ("Event log", "connection reset", EVENTS, FaultKind.RESET, None),
            ("CID file", "400", CREATE, FaultKind.STATUS, 400),
            ("CID file", "500", CREATE, FaultKind.STATUS, 500),
            ("CID file", "ERROR", CREATE, FaultKind.FILE_ERROR, None),
            ("CID file", "a line too short", CREATE, FaultKind.FILE_MALFORMED, None),
        )
    ],
)
def test_one_bad_key_type(world: World, operation: Operation, kind: FaultKind, status: int | None) -> None:
    miss_some(world)
    world.directory.faults.add(operation, kind, times=999, status=status, target="PHONE")

    report = world.sync("FULL")

    assert (report.status, report.entries_created) == ("PARTIAL", 6)
    assert report.key_types["PHONE"]["source"] == "PENDING"
    assert {name for name, told in report.key_types.items() if told["after"] == "OK"} == {"CPF", "CNPJ", "EMAIL", "EVP"}
    assert "not compared: PHONE (" in str(report.error_message)
    world.directory.faults.clear()
    assert (world.sync().status, world.cids_here()) == ("COMPLETED", world.cids_at_dict())


@fault(
    "CID file",
    "AVAILABLE, and its download 404, again and again",
    "Another file is asked for, once; then the key type is PENDING: PARTIAL; the next sync is COMPLETED.",
)
def test_a_file_that_is_available_and_not_there(world: World) -> None:
    world.populate(25)
    world.sync()
    drift(world.directory, None, ISPB, creates=2, key_types=["PHONE"])
    world.settle()
    world.directory.faults.add(DOWNLOAD, FaultKind.GATEWAY, times=999, status=404)
    asked = world.calls("createCidSetFile")

    report = world.sync("FULL")

    assert (report.status, report.entries_created, report.key_types["PHONE"]["source"]) == ("PARTIAL", 0, "PENDING")
    assert world.calls("createCidSetFile") - asked == 2
    world.directory.faults.clear()
    assert world.sync("FULL").status == "COMPLETED"


def leave_out_of_the_log(world: World, key_type: str) -> None:
    """Let DICT's log leave its last event out, as it has left out keys won by a claim."""
    set_id = world.directory.cid_set(ISPB, key_type)
    set_id = getattr(set_id, "id", set_id)
    world.directory.file.connection.execute(
        "DELETE FROM cid_events WHERE seq = (SELECT max(seq) FROM cid_events WHERE set_id = ?)", (set_id,)
    )


@fault(
    "Event log",
    "a key that the log leaves out, once and for all",
    "Nothing is proved by that log; the CID file is used: COMPLETED.",
)
@pytest.mark.parametrize("others", [0, 2])
def test_a_key_that_the_log_leaves_out(world: World, others: int) -> None:
    world.populate(25)
    world.sync()
    drift(world.directory, None, ISPB, creates=others + 2, key_types=["PHONE"])
    leave_out_of_the_log(world, "PHONE")
    world.settle()

    first = world.sync()
    second = world.sync()

    assert first.key_types["PHONE"]["proof"] in (None, "VSYNC")
    assert (second.status, second.key_types["PHONE"]["proof"]) == ("COMPLETED", "VSYNC")
    assert world.cids_here() == world.cids_at_dict()


@fault(
    "DICT",
    "NOK, although its CID file, its log and our base agree",
    "PARTIAL, and the report says that DICT contradicts its own file, with file, VSync and CorrelationId.",
)
@pytest.mark.parametrize("sync_type", ["INCREMENTAL", "FULL"])
def test_dict_that_contradicts_its_own_file(world: World, sync_type: str) -> None:
    world.populate(25)
    world.sync()
    world.directory.file.connection.execute(
        "UPDATE cid_sets SET vsync = randomblob(32) WHERE participant = ? AND key_type = 'PHONE'", (ISPB,)
    )
    asked = world.calls("createCidSetFile")

    report = world.sync(sync_type)

    assert (report.status, report.verified, report.discrepancies) == ("PARTIAL", False, 0)
    assert "DICT contradicts its own file of PHONE: file 1 (SHA-256 " in str(report.error_message)
    nok = world.sql("select correlation_id from dict_calls where result = 'NOK' and key_type = 'PHONE'")
    assert any(str(correlation_id) in str(report.error_message) for (correlation_id,) in nok)
    assert world.calls("createCidSetFile") - asked == 1, "one file, and no loop"
