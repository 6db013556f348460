"""The drift that every fault happens to, the moment of a fault, and the two ways in which a sync may end."""

from collections import Counter
from collections.abc import Callable

import dagster as dg
import pytest

from vsync_dagster.assets import common
from vsync_dagster.local_db.reports import Report
from vsync_dagster.partitions import SyncPartition
from vsync_dagster.simulator.drift import drift
from vsync_dagster_tests.world import ISPB, World

SURVIVED = "The sync is COMPLETED: every difference repaired once, proved by DICT."
BROKE_OFF = "One FAILED report says why, no key is changed; the next sync is COMPLETED."

LEFT = "PARTIAL: the report says which key type or CID is left and why, no key is changed; the next sync is COMPLETED."

CREATES, UPDATES, DELETES = 2, 2, 1


def move_apart(world: World) -> None:
    """Give the participant keys, and let it miss some of what DICT did since."""
    world.populate(25)
    world.sync()
    drift(world.directory, None, ISPB, creates=CREATES, updates=UPDATES, deletes=DELETES)
    world.settle()


def when_an_asset_begins(monkeypatch: pytest.MonkeyPatch, asset: str, act: Callable[[], None]) -> None:
    """Do something once, as the first thing in an asset."""
    waiting, partition_of = [act], common.partition_of

    def acting(context: dg.AssetExecutionContext) -> SyncPartition:
        if context.asset_key.path == [asset] and waiting:
            waiting.pop()()
        return partition_of(context)

    monkeypatch.setattr(f"vsync_dagster.assets.{asset}.partition_of", acting)


def assert_survived(world: World, report: Report) -> None:
    """The sync ended as if nothing had gone wrong."""
    assert (report.status, report.error_message) == ("COMPLETED", None)
    assert report.verified
    assert_repaired_once(world)


def assert_repaired_once(world: World) -> None:
    """Both sides are the same but for the key under review, and nothing was lost or done twice."""
    assert world.cids_at_dict() <= world.cids_here()
    assert len(world.cids_here() - world.cids_at_dict()) == DELETES
    told = Counter(kind for (kind,) in world.sql("select event_type from outbox"))
    del told["vsync.sync.completed"]
    assert told == {"vsync.entry.created": CREATES, "vsync.entry.updated": UPDATES}
    assert world.sql("select count(*) from manual_review_queue where status = 'PENDING'") == [(DELETES,)]
    done = world.sql("select kind, count(*) from fixes where outcome = 'APPLIED' group by kind")
    assert dict(done) == {"CREATE": CREATES, "UPDATE": UPDATES, "REVIEW": DELETES}
    assert world.sql("select count(*) from looked_up_entries") == [(0,)]


def assert_broke_off(world: World, report: Report, before: set[bytes], because: str) -> None:
    """The sync changed nothing and said why, and the next one, with nothing in its way, makes it good."""
    assert report.status == "FAILED"
    assert because in str(report.error_message)
    assert world.sql("select count(*) from sync_reports where run_id = %s", report.run_id) == [(1,)]
    assert world.cids_here() == before
    world.directory.faults.clear()
    assert_survived(world, world.sync())


def assert_left(world: World, report: Report, before: set[bytes], because: str) -> None:
    """What could not be had is left and nothing was changed; the next sync, with nothing in its way, makes it good."""
    assert (report.status, report.verified) == ("PARTIAL", False)
    assert because in str(report.error_message)
    assert world.cids_here() == before
    assert world.sql("select count(*) from manual_review_queue") == [(0,)]
    world.directory.faults.clear()
    assert_survived(world, world.sync())
