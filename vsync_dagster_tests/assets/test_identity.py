"""Whole syncs against a DICT whose answers cannot be trusted, over TLS with real signatures."""

import pytest

from vsync_dagster.simulator.drift import drift
from vsync_dagster.simulator.faults import FaultKind
from vsync_dagster.simulator.operations import Operation
from vsync_dagster_tests.world import ISPB, World

OPERATIONS = [
    (Operation.CREATE_SYNC_VERIFICATION, FaultKind.SIGNATURE_BROKEN),
    (Operation.LIST_CID_SET_EVENTS, FaultKind.SIGNATURE_MISSING),
    (Operation.GET_ENTRY_BY_CID, FaultKind.SIGNATURE_WRAPPED),
    (Operation.LIST_POLICIES, FaultKind.SIGNATURE_BY_ANOTHER),
]


@pytest.mark.parametrize(("operation", "kind"), OPERATIONS, ids=str)
def test_an_answer_that_is_not_dicts_changes_nothing_and_the_next_sync_converges(
    world: World, operation: Operation, kind: FaultKind
) -> None:
    world.populate(25)
    drift(world.directory, None, ISPB, creates=2, updates=1)
    world.settle()
    before = world.cids_here()
    world.directory.faults.add(operation, kind)

    refused = world.sync()

    assert (refused.status, refused.verified) == ("FAILED", False)
    assert refused.error_message is not None
    assert f"the signature of DICT's answer to {operation.value} is refused" in refused.error_message
    assert world.cids_here() == before
    assert world.sql("select count(*) from dict_calls where result = 'SIGNATURE_REFUSED'") == [(1,)]

    repaired = world.sync()

    assert (repaired.status, repaired.verified) == ("COMPLETED", True)
    assert world.cids_here() == world.cids_at_dict()


def test_a_file_is_not_fetched_from_a_host_that_is_not_permitted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.populate(25)
    drift(world.directory, None, ISPB, creates=1)
    world.settle()
    monkeypatch.setenv("VSYNC_DICT_DOWNLOAD_HOSTS", "files.example")

    report = world.sync("FULL")

    assert report.status == "PARTIAL"
    assert report.error_message is not None
    assert "'127.0.0.1', which is not one of VSYNC_DICT_DOWNLOAD_HOSTS" in report.error_message
    assert world.directory.calls.total(Operation.DOWNLOAD_CID_SET_FILE) == 0
