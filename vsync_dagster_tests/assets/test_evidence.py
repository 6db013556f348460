"""What syncs leave behind stays as it was sealed, whatever becomes of them."""

from vsync_dagster.local_db import chains
from vsync_dagster.simulator.drift import drift
from vsync_dagster.simulator.faults import FaultKind
from vsync_dagster.simulator.operations import Operation
from vsync_dagster_tests.world import ISPB, World


def test_after_syncs_that_went_well_and_one_that_did_not_the_chain_is_whole(world: World) -> None:
    world.populate(30)
    drift(world.directory, None, ISPB, creates=2, updates=2, deletes=1)
    world.settle()
    assert world.sync("FULL").status == "COMPLETED"
    world.directory.faults.add(Operation.CREATE_SYNC_VERIFICATION, FaultKind.SIGNATURE_BROKEN)
    assert world.sync().status == "FAILED"
    assert world.sync().status == "COMPLETED"

    with world.database.connect() as connection:
        assert list(chains.verify(connection)) == []
    sealed = [set(evidence) for (evidence,) in world.sql("select evidence from sync_reports order by chain_number")]
    assert sealed[0] == {"fixes", "fix_details", "dict_calls"}
    assert "dict_calls" in sealed[1]
