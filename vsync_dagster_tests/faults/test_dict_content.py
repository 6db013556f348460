"""DICT that answers in due form, and wrongly: files, pages of the event log, entries."""

import functools
import time
from collections.abc import Iterable

import pytest

from vsync_dagster.dict_api.cid_file import wait_for_file
from vsync_dagster.resources import SyncSettings
from vsync_dagster.simulator.drift import drift
from vsync_dagster.simulator.faults import FaultKind
from vsync_dagster.simulator.operations import Operation
from vsync_dagster.sync.cid_files import CidFiles
from vsync_dagster_tests.faults.scene import (
    BROKE_OFF,
    LEFT,
    SURVIVED,
    assert_broke_off,
    assert_left,
    assert_survived,
    move_apart,
)
from vsync_dagster_tests.reliability import fault
from vsync_dagster_tests.world import ISPB, LAG, World

DICT, FILE, LOG, ENTRY = "DICT", "CID file", "Event log", "Look-up"
NOT_THERE = "at each look-up: the entry is not, or no longer, this participant's"
NOT_KNOWN = "403 or 404, with and without Retry-After, for good, at the CID file or the event log"
NOT_OURS = "Nothing is applied on its account: PARTIAL; the next sync is COMPLETED."


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for the log's lag, and no longer for anything."""
    monkeypatch.setattr(SyncSettings, "sleep", lambda _, seconds: time.sleep(seconds if seconds <= LAG else 0))
    monkeypatch.setattr(
        "vsync_dagster.sync.cid_files.wait_for_file", functools.partial(wait_for_file, longest_wait=60.0)
    )


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        pytest.param(operation, kind, marks=fault(FILE, what, SURVIVED), id=what)
        for what, operation, kind in (
            ("DICT gives it up as ERROR, once", Operation.CREATE_CID_SET_FILE, FaultKind.FILE_ERROR),
            ("UNAVAILABLE, once", Operation.CREATE_CID_SET_FILE, FaultKind.FILE_UNAVAILABLE),
            ("a digit altered on the way, once", Operation.DOWNLOAD_CID_SET_FILE, FaultKind.FILE_ALTERED),
            ("ends early on the way, once", Operation.DOWNLOAD_CID_SET_FILE, FaultKind.FILE_TRUNCATED),
            ("longer than DICT says, once", Operation.DOWNLOAD_CID_SET_FILE, FaultKind.FILE_LONGER),
            ("the download is reset, once", Operation.DOWNLOAD_CID_SET_FILE, FaultKind.RESET),
        )
    ],
)
def test_a_file_that_fails_once(world: World, operation: Operation, kind: FaultKind) -> None:
    move_apart(world)
    world.directory.faults.add(operation, kind)

    report = world.sync("FULL")

    assert not world.directory.faults.pending(operation)
    assert_survived(world, report)


@pytest.mark.parametrize(
    ("operation", "kind", "because"),
    [
        pytest.param(operation, kind, because, marks=fault(FILE, what, LEFT), id=what)
        for what, operation, kind, because in (
            ("ERROR each time", Operation.CREATE_CID_SET_FILE, FaultKind.FILE_ERROR, "status ERROR"),
            ("never ready", Operation.CREATE_CID_SET_FILE, FaultKind.FILE_NEVER_READY, "has not made the CID file"),
            ("a line too short, with the hash to match", Operation.CREATE_CID_SET_FILE, FaultKind.FILE_MALFORMED, ""),
            ("a digit altered each time", Operation.DOWNLOAD_CID_SET_FILE, FaultKind.FILE_ALTERED, "SHA-256"),
            ("ends early each time", Operation.DOWNLOAD_CID_SET_FILE, FaultKind.FILE_TRUNCATED, "shorter than"),
            ("longer than DICT says, each time", Operation.DOWNLOAD_CID_SET_FILE, FaultKind.FILE_LONGER, "longer than"),
        )
    ],
)
def test_a_file_that_cannot_be_had(world: World, operation: Operation, kind: FaultKind, because: str) -> None:
    move_apart(world)
    before = world.cids_here()
    world.directory.faults.add(operation, kind, times=999)

    report = world.sync("FULL")

    assert_left(world, report, before, because)


def mend_the_log_when_a_file_is_asked_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = CidFiles.ask

    def mend_and_ask(files: CidFiles, key_types: Iterable[str]) -> dict[str, int]:
        world.directory.faults.clear()
        return ask(files, key_types)

    monkeypatch.setattr(CidFiles, "ask", mend_and_ask)


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=fault(LOG, what, f"The CID file is taken instead. {SURVIVED}"), id=what)
        for what, kind in (
            ("pages that never end", FaultKind.EVENTS_NEVER_END),
            ("a page that contradicts its SyncVerifiers", FaultKind.EVENTS_WRONG_VERIFIER),
        )
    ],
)
def test_a_log_that_cannot_be_believed(world: World, kind: FaultKind, monkeypatch: pytest.MonkeyPatch) -> None:
    move_apart(world)
    world.directory.faults.add(Operation.LIST_CID_SET_EVENTS, kind, times=999)
    mend_the_log_when_a_file_is_asked_for(world, monkeypatch)

    report = world.sync("INCREMENTAL")

    assert "CID_FILE" in {told["source"] for told in report.key_types.values()}
    assert_survived(world, report)


@fault(LOG, "a page that skips an event between two others", f"The CID file is taken instead. {SURVIVED}")
def test_a_log_with_a_gap(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.populate(25)
    world.sync()
    drift(world.directory, None, ISPB, creates=3, key_types=["CPF"])
    world.settle()
    world.directory.faults.add(Operation.LIST_CID_SET_EVENTS, FaultKind.EVENTS_MISSING_ONE, times=999)
    mend_the_log_when_a_file_is_asked_for(world, monkeypatch)

    report = world.sync("INCREMENTAL")

    assert report.key_types["CPF"]["source"] == "CID_FILE"
    assert (report.status, report.entries_created) == ("COMPLETED", 3)


@fault(
    LOG,
    "a log that ends too early, as one that lags behind",
    "What it tells is repaired, the rest is not proved: PARTIAL; the next sync is COMPLETED.",
)
def test_a_log_without_its_end(world: World) -> None:
    world.populate(25)
    world.sync()
    drift(world.directory, None, ISPB, creates=2, key_types=["CPF"])
    world.settle()
    world.directory.faults.add(Operation.LIST_CID_SET_EVENTS, FaultKind.EVENTS_MISSING_ONE)

    report = world.sync("INCREMENTAL")

    assert (report.status, report.entries_created) == ("PARTIAL", 1)
    assert report.error_message == "not proved: CPF"
    world.settle()
    assert (world.sync().status, world.cids_here()) == ("COMPLETED", world.cids_at_dict())


@fault(ENTRY, "an entry that does not hash to the CID asked for", "It is not applied; PARTIAL, and the report says so.")
def test_an_entry_that_is_another(world: World) -> None:
    move_apart(world)
    world.directory.faults.add(Operation.GET_ENTRY_BY_CID, FaultKind.WRONG_ENTRY, times=999)

    report = world.sync("FULL")

    assert (report.status, report.entries_created, report.entries_updated) == ("PARTIAL", 0, 0)
    assert report.fixes_failed == 4
    world.directory.faults.clear()
    assert world.sync().status == "COMPLETED"


@pytest.mark.parametrize("retry_after", [None, 1])
@pytest.mark.parametrize(
    "status",
    [
        pytest.param(403, marks=fault(DICT, f"403 {NOT_THERE}", NOT_OURS)),
        pytest.param(404, marks=fault(DICT, f"404 {NOT_THERE}", NOT_OURS)),
    ],
)
def test_an_entry_that_is_not_ours(world: World, status: int, retry_after: int | None) -> None:
    move_apart(world)
    world.directory.faults.add(
        Operation.GET_ENTRY_BY_CID, FaultKind.STATUS, times=999, status=status, retry_after=retry_after
    )

    report = world.sync("FULL")

    assert (report.status, report.entries_created, report.entries_updated) == ("PARTIAL", 0, 0)
    world.directory.faults.clear()
    assert world.sync().status == "COMPLETED"


@pytest.mark.parametrize("retry_after", [None, 1])
@pytest.mark.parametrize("status", [403, 404])
@pytest.mark.parametrize(
    "operation",
    [
        Operation.CREATE_SYNC_VERIFICATION,
        pytest.param(Operation.CREATE_CID_SET_FILE, marks=fault(DICT, NOT_KNOWN, LEFT)),
        pytest.param(Operation.GET_CID_SET_FILE, marks=fault(DICT, NOT_KNOWN, LEFT)),
        pytest.param(Operation.LIST_CID_SET_EVENTS, marks=fault(DICT, NOT_KNOWN, LEFT)),
    ],
)
@fault(DICT, "403 or 404, with and without Retry-After, for good, at the verification", BROKE_OFF)
def test_what_dict_forbids_or_does_not_know(
    world: World, operation: Operation, status: int, retry_after: int | None
) -> None:
    move_apart(world)
    before = world.cids_here()
    world.directory.faults.add(operation, FaultKind.STATUS, times=999, status=status, retry_after=retry_after)

    report = world.sync("FULL")

    of_all = operation is Operation.CREATE_SYNC_VERIFICATION
    (assert_broke_off if of_all else assert_left)(world, report, before, "DICT rejects")
