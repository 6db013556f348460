"""DICT that does not answer, answers badly, or refuses: at each operation, once and for good."""

import os
from typing import Any

import pytest

from vsync_dagster.embedded.process import free_port
from vsync_dagster.reconcile.keys import KeyType
from vsync_dagster.simulator.faults import FaultKind
from vsync_dagster.simulator.operations import Operation
from vsync_dagster_tests.faults.conftest import CALL_TIMEOUT
from vsync_dagster_tests.faults.scene import (
    BROKE_OFF,
    CREATES,
    DELETES,
    SURVIVED,
    UPDATES,
    assert_broke_off,
    assert_left,
    assert_repaired_once,
    assert_survived,
    move_apart,
)
from vsync_dagster_tests.reliability import fault
from vsync_dagster_tests.world import World

OPERATIONS = (
    Operation.CREATE_SYNC_VERIFICATION,
    Operation.CREATE_CID_SET_FILE,
    Operation.GET_CID_SET_FILE,
    Operation.LIST_CID_SET_EVENTS,
    Operation.GET_ENTRY_BY_CID,
)
DICT = "DICT"

PASSING: dict[str, dict[str, Any]] = {
    "connection reset": {"kind": FaultKind.RESET},
    "no answer in time": {"kind": FaultKind.HANG, "seconds": 2 * CALL_TIMEOUT},
    "an answer that trickles in, byte by byte": {"kind": FaultKind.TRICKLE, "seconds": CALL_TIMEOUT / 20},
    "body cut off": {"kind": FaultKind.CUT},
    "garbage instead of XML": {"kind": FaultKind.GARBAGE},
    "429": {"kind": FaultKind.STATUS, "status": 429},
    "429 with Retry-After": {"kind": FaultKind.STATUS, "status": 429, "retry_after": 1},
    "500": {"kind": FaultKind.STATUS, "status": 500},
    "500 with Retry-After": {"kind": FaultKind.STATUS, "status": 500, "retry_after": 1},
    "503": {"kind": FaultKind.STATUS, "status": 503},
    "503 with Retry-After": {"kind": FaultKind.STATUS, "status": 503, "retry_after": 1},
}
LASTING: dict[str, tuple[dict[str, Any], str]] = {
    "connection reset": (PASSING["connection reset"], "CONNECTION_LOST"),
    "no answer in time": (PASSING["no answer in time"], "TIMEOUT"),
    "body cut off": (PASSING["body cut off"], "CONNECTION_LOST"),
    "garbage instead of XML": (PASSING["garbage instead of XML"], "is not usable"),
    "400": ({"kind": FaultKind.STATUS, "status": 400}, "DICT rejects"),
    "400 with Retry-After": ({"kind": FaultKind.STATUS, "status": 400, "retry_after": 1}, "DICT rejects"),
    "500": (PASSING["500"], "HTTP 500"),
    "500 with a Retry-After of two hours": (
        {"kind": FaultKind.STATUS, "status": 500, "retry_after": 7_200},
        "HTTP 500",
    ),
    "503": (PASSING["503"], "HTTP 503"),
    "503 with a Retry-After of two hours": (
        {"kind": FaultKind.STATUS, "status": 503, "retry_after": 7_200},
        "HTTP 503",
    ),
}
ATTEMPTS = 10
# What no further attempt would mend, and after what DICT may have acted.
AT_ONCE = {name for name in LASTING if name.startswith("400") or "two hours" in name}
BROKE_OFF_OR_LEFT = (
    "FAILED at the verification, and at the look-ups where nothing answers. Elsewhere the key type, or the CID, is"
    " left: PARTIAL. No key is changed; the next sync is COMPLETED."
)
CANNOT_ANSWER = "wait for CIDs that DICT cannot answer for"
DOUBTFUL = {
    "500",
    "500 with a Retry-After of two hours",
    "connection reset",
    "no answer in time",
    "body cut off",
    "garbage instead of XML",
}


def _each(kinds: dict[str, Any], outcome: str) -> list[Any]:
    return [pytest.param(name, marks=fault(DICT, _title(name), outcome), id=name) for name in kinds]


def _title(name: str) -> str:
    return f"{name}, once at each of the five operations"


@pytest.mark.parametrize("name", _each(PASSING, SURVIVED))
def test_what_passes_by_itself_is_survived(world: World, name: str) -> None:
    move_apart(world)
    for operation in OPERATIONS:
        world.directory.faults.add(operation, **PASSING[name])

    report = world.sync("FULL")

    assert not any(world.directory.faults.pending(operation) for operation in OPERATIONS), "each was injected"
    assert_survived(world, report)
    files = sum(told["source"] == "CID_FILE" for told in report.key_types.values())
    assert world.calls("createCidSetFile") == files + 1, "only where the answer was lost, a file is asked for again"


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name,
            marks=(
                fault(DICT, f"{name}, for good, at any of the five operations", BROKE_OFF_OR_LEFT),
                *([] if name in ("connection reset", "400") else [pytest.mark.long]),
            ),
            id=name,
        )
        for name in LASTING
    ],
)
def test_what_does_not_pass_is_left_or_breaks_the_sync_off(world: World, name: str, operation: Operation) -> None:
    move_apart(world)
    before, (how, because) = world.cids_here(), LASTING[name]
    attempts = world.calls(operation.value)
    world.directory.faults.add(operation, times=999, **how)

    report = world.sync("FULL")

    assert world.calls(operation.value) - attempts <= _most_attempts(name, operation)
    if _is_left(name, operation):
        assert_left(world, report, before, CANNOT_ANSWER if operation is Operation.GET_ENTRY_BY_CID else because)
    else:
        assert_broke_off(world, report, before, because)


def _is_left(name: str, operation: Operation) -> bool:
    """Whether the fault is one of a key type, or of single CIDs, and not of DICT."""
    if operation is Operation.GET_ENTRY_BY_CID:
        return name.startswith(("400", "500", "garbage"))
    return operation is not Operation.CREATE_SYNC_VERIFICATION


def _most_attempts(name: str, operation: Operation) -> int:
    """As often as DICT may be asked: of each key type, or of each CID in two rounds and at a second look."""
    if operation is Operation.GET_ENTRY_BY_CID:
        return (CREATES + UPDATES + 2 * DELETES) * 2 * 3
    if operation is Operation.CREATE_CID_SET_FILE and name in DOUBTFUL:
        return 2 * len(KeyType)  # DICT may have made each of them, of 40 a day
    return (1 if name in AT_ONCE else ATTEMPTS) * (1 if operation is Operation.CREATE_SYNC_VERIFICATION else 3 * 5)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("kind", [FaultKind.SIGNATURE_BROKEN, FaultKind.SIGNATURE_MISSING])
@fault(DICT, "signature broken, or missing, for one answer, at any of the five operations", BROKE_OFF)
def test_one_answer_that_is_not_dicts(world: World, kind: FaultKind, operation: Operation) -> None:
    move_apart(world)
    before = world.cids_here()
    world.directory.faults.add(operation, kind)

    report = world.sync("FULL")

    assert not world.directory.faults.pending(operation), "it was injected, and not asked for again"
    assert_broke_off(world, report, before, f"the signature of DICT's answer to {operation.value} is refused")


@fault(DICT, "connection refused", BROKE_OFF)
def test_nobody_listens(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    move_apart(world)
    before = world.cids_here()
    url = os.environ["VSYNC_DICT_URL"]
    monkeypatch.setenv("VSYNC_DICT_URL", f"https://127.0.0.1:{free_port()}/api/v2/")

    report = world.sync("FULL")

    monkeypatch.setenv("VSYNC_DICT_URL", url)
    assert_broke_off(world, report, before, "NO_CONNECTION")


@pytest.mark.parametrize("operation", OPERATIONS[1:])
@pytest.mark.parametrize("retry_after", [None, 7_200])
@fault(
    DICT,
    "429, for good, with and without a Retry-After of two hours, at any operation but the verification",
    "What could not be asked is left: PARTIAL, with the time to go on; the next sync is COMPLETED.",
)
def test_dict_that_grants_nothing_more(world: World, operation: Operation, retry_after: int | None) -> None:
    move_apart(world)
    attempts = world.calls(operation.value)
    world.directory.faults.add(operation, FaultKind.STATUS, times=999, status=429, retry_after=retry_after)

    report = world.sync("FULL")

    assert (report.status, report.verified, report.fixes_failed) == ("PARTIAL", False, 0)
    assert report.resume_at is not None
    assert world.calls(operation.value) - attempts <= 5 * ATTEMPTS
    world.directory.faults.clear()
    assert world.sync().status == "COMPLETED"
    assert_repaired_once(world)


@pytest.mark.parametrize("retry_after", [None, 7_200])
@fault(DICT, "429, for good, with and without a Retry-After of two hours, at the verification", BROKE_OFF)
def test_dict_that_grants_no_verification(world: World, retry_after: int | None) -> None:
    move_apart(world)
    before = world.cids_here()
    world.directory.faults.add(
        Operation.CREATE_SYNC_VERIFICATION, FaultKind.STATUS, times=999, status=429, retry_after=retry_after
    )

    report = world.sync("FULL")

    assert report.resume_at is not None
    assert_broke_off(world, report, before, "is used up; try again in")
