"""Syncs after a database was moved to a new server with pg_dump and pg_restore."""

from dataclasses import replace

import pytest

from vsync_dagster.environment import Environment
from vsync_dagster.simulator.drift import drift
from vsync_dagster_tests.local_db.restoring import moved_to_a_new_server, use_transaction_ids
from vsync_dagster_tests.world import ISPB, World


def test_syncs_find_and_repair_differences_after_a_move(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    use_transaction_ids(world.database)
    world.populate(50)
    assert world.sync().status == "COMPLETED"
    drift(world.directory, None, ISPB, creates=2)
    world.settle()
    assert world.sync().entries_created == 2

    with moved_to_a_new_server(world.database) as database:
        monkeypatch.setenv("VSYNC_DATABASE_URL", database.url)
        variables = Environment({**world.variables.variables, "VSYNC_DATABASE_URL": database.url})
        moved = replace(world, database=database, variables=variables)
        drift(world.directory, None, ISPB, creates=3, updates=3)
        moved.sql("delete from entries where key = %s", moved.key_of("EVP"))
        moved.settle()
        for sync_type in ("INCREMENTAL", "FULL"):
            report = moved.sync(sync_type)
            assert (report.status, report.verified, report.in_flight) == ("COMPLETED", True, 0)
        assert moved.cids_here() == world.cids_at_dict()
        # By the ledger again, since the first sync on the new server has read the table.
        drift(world.directory, None, ISPB, creates=1)
        moved.settle()
        report = moved.sync()
        assert (report.status, report.entries_created) == ("COMPLETED", 1)
        assert {told["computed_from"] for told in report.key_types.values()} == {"LEDGER"}
