"""A night of small participants that are in sync, through Dagster's queue: code location, daemon, a run each."""

import atexit
import compileall
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from tempfile import mkdtemp

import dagster as dg

import vsync_dagster
from benchmarks.costs import Costs
from benchmarks.data import ISPB
from benchmarks.measure import Place
from benchmarks.world import DAY, World, provider
from vsync_dagster.local_db import reports
from vsync_dagster.local_db.snapshot import read_snapshot
from vsync_dagster.partitions import SyncPartition, open_partitions_for
from vsync_dagster.sync.connection import connect_dict
from vsync_dagster.sync.local_sets import local_sets
from vsync_dagster.sync.verification import verify
from vsync_dagster_tests.daemon.processes import Machine

CASE = "small participants of 1,000 keys, in sync, one for 100,000 keys and 300 at most, through Dagster's queue"
OURS = "through_the_queue"
AGAINST = {"bare": ("their bare syncs in one process, without Dagster: sets read, verified by DICT", 0.0)}
_KEYS = 1_000
_PATIENCE_S = 120 + 30 * 300
_made: list[World] = []
_machine: list[tuple[Machine, Path, dg.DagsterInstance]] = []
_open = ExitStack()
atexit.register(_open.close)


def _ispbs(place: Place) -> list[str]:
    return [ISPB, *(f"{20_000_000 + number}" for number in range(1, min(max(place.keys // 100_000, 2), 300)))]


def prepare_bare(place: Place) -> None:
    """Make the participants."""
    _made.append(provider(place, _ispbs(place), _KEYS))


def prepare_through_the_queue(place: Place) -> None:
    """Make the participants, and start Dagster's processes."""
    # As an installation does: each run imports them anew.
    compileall.compile_dir(Path(vsync_dagster.__file__).parent, quiet=1)
    prepare_bare(place)
    machine = Machine(Path(mkdtemp(dir=place.folder)) / "machine")
    instance = _open.enter_context(machine.instance())
    workspace = machine.workspace(_open.enter_context(machine.code_location()))
    open_partitions_for(instance, _ispbs(place))
    _open.enter_context(machine.daemon(workspace))
    _machine.append((machine, workspace, instance))


def through_the_queue(place: Place) -> float:
    """Ours: from the start of the first run to the end of the last, so without the daemon's own half minute.

    What a partition has cost each process goes to standard error.
    """
    [(machine, workspace, instance)], ispbs = _machine, _ispbs(place)
    before, spent = {run.run_id for run in instance.get_runs()}, Costs.so_far(_made[0].database.url)
    machine.backfill(workspace, [SyncPartition(DAY, ispb) for ispb in ispbs])
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        records = [one for one in instance.get_run_records() if one.dagster_run.run_id not in before]
        ended = Counter(one.dagster_run.status for one in records)
        if ended[dg.DagsterRunStatus.FAILURE] or time.monotonic() > deadline:
            raise AssertionError(f"the runs ended as {ended}")
        if ended[dg.DagsterRunStatus.SUCCESS] == len(ispbs):
            break
        time.sleep(0.5)
    sys.stderr.write(f"{Costs.so_far(_made[0].database.url).since(spent, len(ispbs))}\n")
    _check_reports(ispbs)
    return max(one.end_time or 0 for one in records) - min(one.start_time or 0 for one in records)


def _check_reports(ispbs: list[str]) -> None:
    with _made[0].database.connect() as connection:
        verified = {one.participant_ispb for one in reports.list_reports(connection, limit=1_000) if one.verified}
    if verified != {*ispbs}:
        raise AssertionError("a participant was not verified")


def bare(place: Place) -> None:
    """The floor."""
    [made] = _made
    for ispb in _ispbs(place):
        sets = local_sets(read_snapshot(made.database, ispb))
        with connect_dict(made.variables, made.database, ispb, None) as connection:
            verdicts = verify(connection.client, sets.values(), lag=0, sleep=time.sleep)
        if not all(verdict.ok for verdict in verdicts.values()):
            raise AssertionError("a participant is not in sync")
