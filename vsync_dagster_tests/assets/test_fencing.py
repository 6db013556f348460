"""Two runs of one participant: the second waits, or takes over from a dead one, which then can write nothing more."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vsync_dagster.local_db import leases
from vsync_dagster.local_db.leases import Fence
from vsync_dagster.simulator.drift import drift
from vsync_dagster.store import SnapshotStore
from vsync_dagster.sync.cid_files import CidFiles
from vsync_dagster.sync.repair import Repair
from vsync_dagster_tests.assets.test_failures import ASSETS, materialize
from vsync_dagster_tests.waiting import wait_until
from vsync_dagster_tests.world import ISPB, World

PERMISSION: dict[str, Any] = {"allowed_by": "ana", "reason": "a test"}
LATER = Fence(ISPB, "the-later-run")
# What a superseded run still writes is true: what it asked DICT, what that cost, and that it FAILED.
STILL_WRITTEN = {
    "dict_budget_readings",
    "dict_budgets",
    "dict_calls",
    "evidence_chains",
    "outbox",
    "sync_lease_history",
    "sync_leases",
    "sync_reports",
}
WRITING_PLACES: dict[str, tuple[Any, str]] = {
    "verdicts": ("vsync_dagster.sync.compare", "record_verdicts"),
    "log positions": ("vsync_dagster.sync.compare", "record_log_positions"),
    "CID files": (CidFiles, "_ask"),
    "look-ups": ("vsync_dagster.sync.look_up", "_stage"),
    "permit": ("vsync_dagster.assets.applied_fixes", "check_mass_change"),
    "answered review items": ("vsync_dagster.assets.applied_fixes", "_close_answered"),
    "fixes": (Repair, "_transaction"),
    "verdicts of the proof": ("vsync_dagster.sync.proof", "record_verdicts"),
    "report": ("vsync_dagster.assets.sync_report", "write_report"),
}


def move_apart(world: World) -> None:
    """Let every place that writes have something to write."""
    world.populate(25)
    drift(world.directory, None, ISPB, deletes=1, seed=2)
    world.settle()
    world.sync("FULL")
    under_review = "select entry_id from manual_review_queue"
    world.sql(f"update entries set status = 'DELETED', deleted_at = now() where entry_id in ({under_review})")  # noqa: S608
    drift(world.directory, None, ISPB, creates=2, updates=2, deletes=1)
    world.settle()


def take_over(world: World) -> dict[str, Any]:
    """Be the run that finds the lease expired; returns all that is stored at that moment."""
    with world.database.connect() as connection:
        connection.execute("update sync_leases set expires_at = clock_timestamp()")
        assert leases.acquire(connection, LATER, "another-host", 3_600)
    return stored(world)


def stored(world: World) -> dict[str, Any]:
    tables = world.sql("select tablename from pg_tables where schemaname = 'public' order by tablename")
    found: dict[str, Any] = {
        name: sorted(map(str, world.sql(f"select * from {name}")))  # noqa: S608
        for (name,) in tables
        if name not in STILL_WRITTEN
    }
    manifests = Path(world.variables.storage_url).rglob("manifest.json")
    return found | {str(path): path.read_bytes() for path in manifests}


def once_before(function: Callable[..., Any], action: Callable[[], None]) -> Callable[..., Any]:
    done = list[bool]()

    def acting(*args: Any, **kwargs: Any) -> Any:
        if not done:
            done.append(True)
            action()
        return function(*args, **kwargs)

    return acting


@pytest.mark.parametrize("place", WRITING_PLACES)
def test_a_superseded_run_writes_nothing_more(world: World, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    move_apart(world)
    owner, name = WRITING_PLACES[place]
    owner = sys.modules[owner] if isinstance(owner, str) else owner
    at_that_moment: dict[str, Any] = {}
    monkeypatch.setattr(owner, name, once_before(getattr(owner, name), lambda: at_that_moment.update(take_over(world))))

    report = world.sync("FULL", mass_change_share=0.0, mass_change_keys=0, allow_mass_change=True, **PERMISSION)

    assert at_that_moment, "the place was reached"
    assert report.status == "FAILED"
    assert f"superseded by run {LATER.run_id} on another-host" in str(report.error_message)
    assert stored(world) == at_that_moment


@pytest.mark.parametrize("asset", ASSETS[:-1])
def test_a_superseded_run_publishes_no_snapshot(world: World, asset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    move_apart(world)
    folder, at_that_moment = SnapshotStore._folder, dict[str, Any]()

    def found(self: SnapshotStore, name: str, *rest: Any) -> str:
        if name == asset and sys._getframe(1).f_code.co_name == "write" and not at_that_moment:
            at_that_moment.update(take_over(world))
        return folder(self, name, *rest)

    monkeypatch.setattr(SnapshotStore, "_folder", found)

    report = world.sync("FULL")

    assert f"superseded by run {LATER.run_id}" in str(report.error_message)
    assert stored(world) == at_that_moment


@pytest.mark.parametrize("asset", ASSETS)
def test_every_asset_takes_the_lease_and_the_last_of_a_run_releases_it(
    world: World, asset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.populate(25)
    world.sync()
    monkeypatch.setenv("VSYNC_LEASE_WAIT_SECONDS", "0")
    assert world.sql("select expires_at <= clock_timestamp() from sync_leases") == [(True,)]
    take_over(world)

    run_id = materialize(world, asset)

    [(status, why)] = world.sql("select status, error_message from sync_reports where run_id = %s", run_id)
    assert status == "FAILED"
    assert f"{ISPB} is being worked on by run {LATER.run_id} on another-host" in why
    with world.database.connect() as connection:
        leases.release(connection, LATER)
    run_id = materialize(world, asset)
    assert world.sql("select run_id, expires_at <= clock_timestamp() from sync_leases") == [(run_id, True)]


def begin(log: Path) -> "subprocess.Popen[str]":
    with log.open("w") as stderr:
        return subprocess.Popen(
            [sys.executable, "-m", "vsync_dagster_tests.faults.one_sync", "FULL"],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )


def test_a_process_that_stands_still_is_superseded_by_another(world: World, tmp_path: Path) -> None:
    move_apart(world)
    frozen = begin(tmp_path / "frozen")
    try:
        held = "select run_id from sync_leases where expires_at > clock_timestamp()"
        wait_until(lambda: world.sql(held), "it takes no lease", ended=lambda: frozen.poll() is not None)
        frozen.send_signal(signal.SIGSTOP)
        [(first,)] = world.sql("select run_id from sync_leases")

        second = begin(tmp_path / "second")
        assert second.stdout is not None
        assert second.stdout.readline() == "ready\n"
        world.sql("update sync_leases set expires_at = clock_timestamp() + interval '3 seconds'")
        told, _ = second.communicate(timeout=300)
        before = stored(world)
        frozen.send_signal(signal.SIGCONT)
        told_by_the_first, _ = frozen.communicate(timeout=300)
    finally:
        frozen.kill()

    [(holder,)] = world.sql("select run_id from sync_leases")
    assert holder != first
    assert "COMPLETED None" in told
    assert f"waiting for run {first} on " in (tmp_path / "second").read_text()
    assert "FAILED" in told_by_the_first
    assert f"superseded by run {holder}" in told_by_the_first
    assert stored(world) == before
    assert world.cids_at_dict() <= world.cids_here()
