"""DICT that does not answer, answers badly, or refuses: at each operation, once and for good."""

from typing import Any

import pytest

from vsync_dagster.simulator.faults import FaultKind
from vsync_dagster.simulator.operations import Operation
from vsync_dagster_tests.faults.conftest import CALL_TIMEOUT
from vsync_dagster_tests.faults.scene import BROKE_OFF, SURVIVED, assert_broke_off, assert_survived, move_apart
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
    "500": {"kind": FaultKind.STATUS, "status": 500},
    "503": {"kind": FaultKind.STATUS, "status": 503},
    "503 with Retry-After": {"kind": FaultKind.STATUS, "status": 503, "retry_after": 1},
}
LASTING: dict[str, tuple[dict[str, Any], str]] = {
    "connection reset": (PASSING["connection reset"], "CONNECTION_LOST"),
    "no answer in time": (PASSING["no answer in time"], "TIMEOUT"),
    "body cut off": (PASSING["body cut off"], "CONNECTION_LOST"),
    "garbage instead of XML": (PASSING["garbage instead of XML"], "is not usable"),
    "400": ({"kind": FaultKind.STATUS, "status": 400}, "DICT rejects"),
    "500": (PASSING["500"], "HTTP 500"),
    "503": (PASSING["503"], "HTTP 503"),
    "503 with a Retry-After of two hours": (
        {"kind": FaultKind.STATUS, "status": 503, "retry_after": 7_200},
        "HTTP 503",
    ),
}
ATTEMPTS = 10


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
                fault(DICT, f"{name}, for good, at any of the five operations", BROKE_OFF),
                *([] if name in ("connection reset", "400") else [pytest.mark.long]),
            ),
            id=name,
        )
        for name in LASTING
    ],
)
def test_what_does_not_pass_breaks_the_sync_off(world: World, name: str, operation: Operation) -> None:
    move_apart(world)
    before, (how, because) = world.cids_here(), LASTING[name]
    attempts = world.calls(operation.value)
    world.directory.faults.add(operation, times=999, **how)

    report = world.sync("FULL")

    assert world.calls(operation.value) - attempts <= 5 * ATTEMPTS, "no key type is tried for ever"
    assert_broke_off(world, report, before, because)
