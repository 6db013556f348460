"""PostgreSQL that is killed, full, read-only, or in the middle of somebody else's transaction."""

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest

from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.migrate import migrate
from vsync_dagster.simulator.drift import drift
from vsync_dagster_tests.faults.postgres_server import OwnServer, own_server, small_disk
from vsync_dagster_tests.faults.scene import (
    BROKE_OFF,
    SURVIVED,
    assert_broke_off,
    assert_survived,
    move_apart,
    when_an_asset_begins,
)
from vsync_dagster_tests.reliability import fault
from vsync_dagster_tests.waiting import wait_until
from vsync_dagster_tests.world import ISPB, World, running_world

POSTGRES = "PostgreSQL"
ASSETS = ["local_snapshot", "bacen_snapshot", "discrepancies", "applied_fixes", "sync_report"]


@contextmanager
def world_on(server: OwnServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A participant whose base is on a server that the test may do anything to."""
    database = Database(server.url)
    migrate(database)
    with running_world(database, folder, monkeypatch) as world:
        yield world


@fault(POSTGRES, "killed (SIGKILL) as an asset begins, and back after a second: each of the five assets", SURVIVED)
@pytest.mark.parametrize("asset", ASSETS)
def test_killed_and_started_again(asset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with own_server() as server, world_on(server, tmp_path, monkeypatch) as world:
        move_apart(world)
        back = threading.Timer(1, server.start)

        def kill() -> None:
            server.kill()
            back.start()

        when_an_asset_begins(monkeypatch, asset, kill)

        report = world.sync("FULL")

        back.join()
        assert_survived(world, report)


@fault(POSTGRES, "killed in the middle of a repair's transaction", SURVIVED)
def test_killed_within_a_transaction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with own_server() as server, world_on(server, tmp_path, monkeypatch) as world:
        move_apart(world)
        world.sql(
            """
            create function pause() returns trigger language plpgsql as $$
            begin perform pg_sleep(2); return null; end $$
            """
        )
        world.sql("create trigger pause after insert on fixes for each statement execute function pause()")

        def kill_in_the_pause() -> None:
            pauses = "select 1 from pg_stat_activity where wait_event = 'PgSleep'"
            wait_until(lambda: world.sql(pauses), "the repair does not pause")
            server.kill()
            server.start()
            world.sql("drop trigger pause on fixes")

        killer = threading.Thread(target=kill_in_the_pause)
        when_an_asset_begins(monkeypatch, "applied_fixes", killer.start)

        report = world.sync("FULL")

        killer.join()
        assert_survived(world, report)


@contextmanager
def all_connections_taken(server: OwnServer) -> Iterator[ExitStack]:
    """Take every connection that the server has to give."""
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(psycopg.connect(server.url))
            except psycopg.OperationalError:
                break
        yield held


@fault(POSTGRES, "no connection left for a second", SURVIVED)
def test_no_connection_left_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with own_server(max_connections="12") as server, world_on(server, tmp_path, monkeypatch) as world:
        move_apart(world)
        with all_connections_taken(server) as held:
            threading.Timer(1, held.close).start()
            report = world.sync("FULL")
        assert_survived(world, report)


@fault(POSTGRES, "no connection left", f"{BROKE_OFF} The report waits on disk until the database is back.")
def test_no_connection_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with own_server(max_connections="12") as server, world_on(server, tmp_path, monkeypatch) as world:
        move_apart(world)
        before = world.cids_here()
        with all_connections_taken(server):
            failed = world.sync("FULL")
        assert failed.status == "FAILED"
        assert "has no connection left" in str(failed.error_message)
        assert "; what it had changed by then is not known; " in str(failed.error_message)
        assert str(failed.error_message).endswith(" (see docs/messages.md#database-unavailable)")
        assert world.cids_here() == before
        assert_survived(world, world.sync())
        assert world.sql("select count(*) from sync_reports where run_id = %s", failed.run_id) == [(1,)]


@fault(POSTGRES, "a deadlock with a transaction of the participant's own", SURVIVED)
def test_a_deadlock(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.populate(25)
    world.sync()
    drift(world.directory, None, ISPB, updates=3, key_types=["CPF"])
    world.settle()
    at_dict = world.cids_at_dict()
    outdated = sorted(row for row, cid in world.sql("select entry_id, cid from entries") if cid not in at_dict)
    locked, theirs = threading.Event(), []

    def lock_the_other_way_round() -> None:
        with world.database.connect() as connection:
            lock = "select 1 from entries where entry_id = %s for update"
            connection.execute(lock, [outdated[-1]])
            locked.set()
            waits = "select 1 from pg_stat_activity where wait_event_type = 'Lock'"
            wait_until(lambda: world.sql(waits), "the repair waits for no lock")
            for entry_id in reversed(outdated[:-1]):
                connection.execute(lock, [entry_id])
            theirs.append("got through")

    other = threading.Thread(target=lock_the_other_way_round)

    def begin() -> None:
        other.start()
        assert locked.wait(30)

    when_an_asset_begins(monkeypatch, "applied_fixes", begin)

    report = world.sync("FULL")

    other.join()
    assert (report.status, report.entries_updated) == ("COMPLETED", 3)
    assert theirs == ["got through"], "the participant's own transaction is not the one that gives way"
    assert _deadlocks(world) == 1


def _deadlocks(world: World) -> int:
    # The server counts when a session ends, or some time later.
    deadline = time.monotonic() + 10
    while True:
        [(count,)] = world.sql("select deadlocks from pg_stat_database where datname = current_database()")
        if count or time.monotonic() > deadline:
            return int(count)
        time.sleep(0.1)


@fault(POSTGRES, "the disk is full when fixes are written", BROKE_OFF)
def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        own_server() as server,
        small_disk(server, 8) as disk,
        world_on(server, tmp_path, monkeypatch) as world,
    ):
        move_apart(world)
        before = world.cids_here()
        with psycopg.connect(server.url, autocommit=True) as admin:
            admin.execute(f"create tablespace small location '{disk}'")
            admin.execute("alter table cid_events set tablespace small")
            # What comes next needs a new page.
            admin.execute("alter table cid_events set (fillfactor = 10)")
        _fill(disk / "filler")

        failed = world.sync("FULL")

        assert "SQLSTATE 53100" in str(failed.error_message)
        (disk / "filler").unlink()
        assert_broke_off(world, failed, before, "")


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as filler:
        try:
            while True:
                filler.write(bytes(4_096))
        except OSError:
            return


@fault(POSTGRES, "a read-only standby instead of the primary", f"{BROKE_OFF} The report waits on disk.")
def test_a_standby(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with own_server(wal_level="replica") as server, world_on(server, tmp_path, monkeypatch) as world:
        move_apart(world)
        with own_server() as standby:
            standby.stop()
            for path in standby.data.iterdir():
                _remove(path)
            standby.run("pg_basebackup", "-d", server.url, "-D", standby.data, "-X", "stream", "-c", "fast")
            (standby.data / "standby.signal").touch()
            # A report waits for the address that it was meant for: the standby answers there, as after a bad failover.
            server.stop()
            standby.port = server.port
            standby.start()

            failed = world.sync("FULL")

        assert (failed.status, "SQLSTATE 25006" in str(failed.error_message)) == ("FAILED", True)
        server.start()
        assert_survived(world, world.sync())
        assert world.sql("select status from sync_reports where run_id = %s", failed.run_id) == [("FAILED",)]


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()
