"""The daily schedule as it runs in production: one tick of the daemon, on PostgreSQL, for many participants."""

import logging
from collections import Counter
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from dagster._core.scheduler.instigation import InstigatorTick

from vsync_dagster.reconcile.calendar import TIMEZONE
from vsync_dagster.schedules import daily_sync
from vsync_dagster_tests.daemon.processes import Machine, wait_until
from vsync_dagster_tests.world import ISPB, World

PARTICIPANTS = 300
# Of the tick that comes within a minute, and of the runs that it asks for.
PATIENCE_S = 3_600
_log = logging.getLogger(__name__)


@pytest.mark.long
def test_a_tick_asks_for_300_partitions_each_once(world: World, tmp_path: Path) -> None:
    world.sql(
        "insert into participants (participant_ispb, via) select lpad(number::text, 8, '0'), %s"
        " from generate_series(1, %s) as number returning 1",
        ISPB,
        PARTICIPANTS - 1,
    )
    machine = Machine(
        tmp_path / "machine",
        # Each minute: the first tick is looked at, whenever the daemon is up.
        {"VSYNC_DAILY_CRON": "* * * * *"},
        {"concurrency": {"runs": {"max_concurrent_runs": 0}}},
    )
    with (
        machine.instance() as instance,
        machine.code_location() as port,
        machine.daemon(machine.workspace(port)) as log,
    ):
        wait_until(lambda: bool(_ended(instance)), log, PATIENCE_S)
        tick = _ended(instance)[-1]
        runs = instance.get_runs(dg.RunsFilter(tags={"dagster/tick": str(tick.tick_id)}))

    expected = [ispb for (ispb,) in world.sql("select participant_ispb from participants")]
    day = datetime.fromtimestamp(tick.timestamp, ZoneInfo(TIMEZONE)).date()
    assert Counter(run.tags["dagster/partition"] for run in runs) == {f"{day}|{ispb}": 1 for ispb in expected}
    assert len(runs) == PARTICIPANTS
    assert tick.is_success
    assert tick.end_timestamp is not None
    _log.info("a tick that asked for %d runs took %.0f s", len(runs), tick.end_timestamp - tick.timestamp)


def _ended(instance: dg.DagsterInstance) -> list[InstigatorTick]:
    """Return the ticks that have ended, the latest first."""
    return [
        tick
        for state in instance.all_instigator_state()
        if state.instigator_name == daily_sync.name
        for tick in instance.get_ticks(state.instigator_origin_id, state.selector_id)
        if tick.is_completed
    ]
