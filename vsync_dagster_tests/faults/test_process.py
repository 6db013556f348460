"""A sync whose process is killed at any moment, and started again."""

import random
import subprocess
import sys
import time
from collections import Counter

import pytest

from vsync_dagster.reconcile.keys import KeyType
from vsync_dagster.simulator.drift import drift
from vsync_dagster.simulator.operations import Operation
from vsync_dagster.sync.look_up import STAGE_EVERY
from vsync_dagster_tests.reliability import fault
from vsync_dagster_tests.world import ISPB, World

ROUNDS, KILLS_A_ROUND = 10, 10
CREATES, UPDATES, DELETES = 300, 300, 20
LATEST_KILL_S = 3.0
PROGRAM = "vsync_dagster_tests.faults.one_sync"


def begin(*arguments: str) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-m", PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def finish(process: "subprocess.Popen[str]") -> str:
    output, _ = process.communicate(timeout=300)
    return output.strip()


@pytest.mark.long
@fault(
    "Process",
    f"kill -9 at {ROUNDS * KILLS_A_ROUND} random moments, each followed by the same command",
    "It converges: nothing applied twice or lost, no second CID file asked for, and of what was looked up at most"
    f" {STAGE_EVERY} entries a kill are looked up again.",
)
def test_killed_at_any_moment(unmetered_world: World) -> None:
    world = unmetered_world
    chance = random.Random(20261126)
    world.populate(3_000)
    expected: Counter[str] = Counter()
    for number in range(ROUNDS):
        drift(world.directory, None, ISPB, creates=CREATES, updates=UPDATES, deletes=DELETES, seed=number)
        expected.update(CREATE=CREATES, UPDATE=UPDATES, REVIEW=DELETES)
        world.settle()
        for _ in range(KILLS_A_ROUND):
            process = begin("FULL")
            time.sleep(chance.uniform(0, LATEST_KILL_S))
            process.kill()
            process.communicate()
        assert finish(begin("FULL")) == "COMPLETED None"

    fixes = "select kind, count(*) from fixes where outcome = 'APPLIED' group by kind"
    events = "select event_type, count(*) from outbox where event_type <> 'vsync.sync.completed' group by event_type"
    assert world.cids_at_dict() <= world.cids_here()
    assert dict(world.sql(fixes)) == expected
    assert dict(world.sql(events)) == {
        "vsync.entry.created": expected["CREATE"],
        "vsync.entry.updated": expected["UPDATE"],
    }
    assert world.sql("select count(*) from looked_up_entries") == [(0,)]
    kills, to_look_up = ROUNDS * KILLS_A_ROUND, expected["CREATE"] + expected["UPDATE"]
    assert found(world) <= to_look_up + kills * STAGE_EVERY
    # A kill between DICT's answer and the commit that keeps the file's Id loses the Id.
    files = world.directory.calls.total(Operation.CREATE_CID_SET_FILE)
    assert files <= len(KeyType) * ROUNDS + kills // 10


def found(world: World) -> int:
    """How many look-ups DICT answered with an entry, by its own count: a process that is killed loses some of ours."""
    return world.directory.calls.total(Operation.GET_ENTRY_BY_CID, status=200)
