"""A sync whose process is killed at any moment, and started again."""

import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable

import pytest

from vsync_dagster.dict_api.lookup import CONCURRENCY
from vsync_dagster.reconcile.keys import KeyType
from vsync_dagster.simulator.drift import drift
from vsync_dagster.simulator.operations import Operation
from vsync_dagster.sync.evidence import BATCH
from vsync_dagster.sync.look_up import STAGE_EVERY
from vsync_dagster_tests.local_db.test_chains import findings, tamper
from vsync_dagster_tests.reliability import fault
from vsync_dagster_tests.waiting import wait_until
from vsync_dagster_tests.world import ISPB, World

ROUNDS, KILLS_A_ROUND = 10, 10
CREATES, UPDATES, DELETES = 300, 300, 20
PROGRAM = "vsync_dagster_tests.faults.one_sync"


def begin(*arguments: str) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-m", PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def has_ended(process: "subprocess.Popen[str]") -> Callable[[], bool]:
    return lambda: process.poll() is not None


def finish(process: "subprocess.Popen[str]") -> str:
    output, _ = process.communicate(timeout=600)
    return output.strip()


def sync_to_its_end() -> float:
    """Sync, and return how many seconds it took on this machine."""
    process, begun = begin("FULL"), time.monotonic()
    assert finish(process) == "COMPLETED None"
    return time.monotonic() - begun


def move_apart(world: World, number: int, expected: "Counter[str]") -> None:
    """Let thousands of fixes come together, a round's each time."""
    drift(world.directory, None, ISPB, creates=CREATES, updates=UPDATES, deletes=DELETES, seed=number)
    expected.update(CREATE=CREATES, UPDATE=UPDATES, REVIEW=DELETES)
    world.settle()


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
    move_apart(world, 0, expected)
    whole = sync_to_its_end()
    for number in range(1, ROUNDS + 1):
        move_apart(world, number, expected)
        for _ in range(KILLS_A_ROUND):
            process = begin("FULL")
            time.sleep(chance.uniform(0, whole))
            process.kill()
            process.communicate()
        sync_to_its_end()

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
    # A kill between DICT's answer and the commit that keeps the file's Id loses the Id. A sync that finds all repaired
    # needs no file.
    files = world.directory.calls.total(Operation.CREATE_CID_SET_FILE)
    assert files <= len(KeyType) * (ROUNDS + 1) + kills // 10


@pytest.mark.parametrize("operation", [Operation.CREATE_SYNC_VERIFICATION, Operation.GET_ENTRY_BY_CID])
@fault(
    "Process",
    "kill -9 while DICT answers",
    "Each answered call has its row in dict_calls, but for the one under way and, of look-ups, the last"
    f" {BATCH + CONCURRENCY}.",
)
def test_the_evidence_of_a_killed_process(unmetered_world: World, operation: Operation) -> None:
    world = unmetered_world
    world.populate(10)
    drift(world.directory, None, ISPB, creates=400)
    world.settle()
    answered = world.directory.calls.total
    process = begin("FULL")
    enough = 3 if operation is Operation.CREATE_SYNC_VERIFICATION else 200
    wait_until(lambda: answered(operation) >= enough, "it ended before DICT answered enough", ended=has_ended(process))

    process.kill()

    process.communicate()
    time.sleep(0.5)  # what DICT is in the middle of answering
    lost = {each: answered(each) - world.calls(each.value) for each in Operation}
    assert lost.pop(Operation.GET_ENTRY_BY_CID) <= BATCH + CONCURRENCY
    del lost[Operation.DOWNLOAD_CID_SET_FILE]
    assert sum(lost.values()) <= 1


@fault(
    "Process",
    "kill -9 between two batches of fixes",
    "The next report seals what the killed run has changed: `vsync report verify-chain` finds whoever touches it.",
)
def test_what_a_killed_process_has_changed_is_sealed(unmetered_world: World) -> None:
    world = unmetered_world
    world.populate(10)
    drift(world.directory, None, ISPB, creates=400)
    world.settle()
    process = begin("FULL")
    wait_until(lambda: world.sql("select 1 from fix_details limit 1"), "it fixed nothing", ended=has_ended(process))

    process.kill()

    process.communicate()
    [(killed,)] = world.sql("select run_id from sync_leases")
    world.sql("update sync_leases set expires_at = clock_timestamp()")  # as it does by itself, in a minute or so
    assert finish(begin("FULL")) == "COMPLETED None"
    assert world.sql("select 1 from sync_reports where run_id = %s", killed) == []
    assert findings(world.database) == []
    [finding] = tamper(world.database, f"delete from fix_details where run_id = '{killed}'")  # noqa: S608
    assert finding.problem.startswith(f"fix_details of the killed run {killed}: ")


def found(world: World) -> int:
    """How many look-ups DICT answered with an entry, by its own count: a process that is killed loses some of ours."""
    return world.directory.calls.total(Operation.GET_ENTRY_BY_CID, status=200)
