"""Two participants under one direct participant, synced by two processes: they spend one budget."""

from datetime import timedelta
from pathlib import Path

import pytest

from vsync_dagster.local_db import participants
from vsync_dagster.local_db.database import Database
from vsync_dagster.simulator.buckets import Limit
from vsync_dagster.simulator.drift import drift
from vsync_dagster.simulator.local_base import seed_local
from vsync_dagster.simulator.population import generate
from vsync_dagster.simulator.settings import Settings
from vsync_dagster_tests.faults.test_process import begin, finish
from vsync_dagster_tests.reliability import fault
from vsync_dagster_tests.world import ISPB, LAG, running_world

INDIRECT = ("87654321", "87654322")
MISSING = 150
SCARCE = {
    "CIDS_ENTRIES_READ": Limit(100, 1_200, 60),
    "SYNC_VERIFICATIONS_WRITE": Limit(12, 120, 60),
}


@pytest.mark.long
@fault(
    "Budgets",
    "two indirect participants of one direct participant, synced at once by two processes",
    "Both are COMPLETED, and DICT never has to answer 429: where it is seen to charge one bucket, that is shared in"
    " PostgreSQL.",
)
def test_two_processes_share_one_budget(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(
        log_lag=timedelta(seconds=LAG), file_delay=timedelta(0), limits=SCARCE, indirects_share_buckets=True
    )
    with running_world(database, tmp_path, monkeypatch, settings) as world:
        for ispb in INDIRECT:
            world.directory.participants.add(ispb, via=ISPB)
            entries = list(generate(ispb, 100, ispb))
            world.directory.bulk_create(entries)
            with database.connect() as connection:
                participants.add(connection, ispb, via=ISPB)
                seed_local(connection, entries)
            drift(world.directory, None, ispb, creates=MISSING, seed=ispb)
        world.settle()

        syncs = [begin("FULL", ispb) for ispb in INDIRECT]

        assert [finish(sync) for sync in syncs] == ["COMPLETED None", "COMPLETED None"]
        statuses = dict(world.sql("select http_status, count(*) from dict_calls group by http_status"))
        assert statuses[200] > len(INDIRECT) * MISSING
        assert 429 not in statuses
