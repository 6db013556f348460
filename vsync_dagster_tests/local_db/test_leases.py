"""One run at a time on a participant, and nothing written by one that was superseded."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from vsync_dagster.local_db import leases
from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.local_db.leases import Fence, SupersededRunError
from vsync_dagster_tests.local_db.parts import ISPB, OTHER_ISPB, afresh, value
from vsync_dagster_tests.local_db.test_fixes_concurrent import WAITING
from vsync_dagster_tests.waiting import wait_until

FIRST, SECOND, THIRD = (Fence(ISPB, f"run-{number}") for number in (1, 2, 3))
LONG = 3_600.0


def take(conn: Connection, fence: Fence, seconds: float = LONG) -> bool:
    return leases.acquire(conn, fence, "a-host", seconds)


def expire(conn: Connection) -> None:
    conn.execute("update sync_leases set expires_at = clock_timestamp()")


def supersede(conn: Connection, fence: Fence) -> None:
    """What a run does that finds its participant's lease expired."""
    expire(conn)
    assert take(conn, fence)


def test_a_lease_is_one_runs_until_it_lets_go(database: Database) -> None:
    with database.connect() as conn:
        assert take(conn, FIRST)
        assert not take(conn, SECOND)
        held = leases.holder(conn, ISPB)
        assert held is not None
        assert (held.run_id, held.host, held.expired) == ("run-1", "a-host", False)
        leases.release(conn, SECOND)
        assert not take(conn, SECOND), "only the holder's release counts"
        leases.release(conn, FIRST)
        assert take(conn, SECOND)
        assert value(conn, "select token from sync_leases") == 2


def test_each_participant_has_its_own(database: Database) -> None:
    with database.connect() as conn:
        assert take(conn, FIRST)
        assert take(conn, Fence(OTHER_ISPB, "run-2"))


def test_a_run_goes_on_with_its_lease_in_its_next_step(database: Database) -> None:
    with database.connect() as conn:
        assert take(conn, FIRST)
        assert take(conn, FIRST)
        expire(conn)
        assert take(conn, FIRST), "nobody took it over"
        assert value(conn, "select token from sync_leases") == 1


def test_a_lease_that_is_renewed_does_not_expire(database: Database) -> None:
    with database.connect() as conn:
        assert take(conn, FIRST, seconds=0)
        assert leases.renew(conn, FIRST, LONG)
        assert not take(conn, SECOND)


def test_a_dead_owner_is_superseded_and_its_run_can_write_nothing_more(database: Database) -> None:
    with database.connect() as conn:
        assert take(conn, FIRST, seconds=0)
        FIRST.check(conn)
        assert take(conn, SECOND)
        SECOND.check(conn)
        with pytest.raises(SupersededRunError, match=r"run run-1 may not .* superseded by run run-2 on a-host"):
            FIRST.check(conn)
        assert not leases.renew(conn, FIRST, LONG)


def test_a_superseded_run_never_comes_back(database: Database) -> None:
    with database.connect() as conn:
        assert take(conn, FIRST)
        supersede(conn, SECOND)
        with pytest.raises(SupersededRunError, match="superseded by run run-2"):
            take(conn, FIRST)
        leases.release(conn, SECOND)
        with pytest.raises(SupersededRunError, match="superseded by run run-2"):
            take(conn, FIRST)
        supersede(conn, THIRD)
        with pytest.raises(SupersededRunError, match="superseded by run run-3"):
            take(conn, FIRST)


def test_whoever_takes_over_waits_for_what_is_being_written(database: Database) -> None:
    with database.connect() as conn, ThreadPoolExecutor(1) as pool:
        assert take(conn, FIRST, seconds=0)
        conn.commit()
        FIRST.check(conn)
        with database.connect() as own:
            assert leases.renew(own, FIRST, 0), "its own renewal waits for nothing"
        taken_over = pool.submit(database.retrying, lambda other: take(other, SECOND))
        with database.connect() as watcher:
            wait_until(lambda: afresh(watcher, WAITING), "it waits for no lock", ended=taken_over.done)
        conn.commit()
        assert taken_over.result(timeout=10)


def test_of_many_at_once_one_gets_it(database: Database) -> None:
    runs = [Fence(ISPB, f"run-{number}") for number in range(8)]
    start = Barrier(len(runs))

    def race(fence: Fence) -> bool:
        with database.connect() as conn:
            start.wait(timeout=30)
            return take(conn, fence)

    with ThreadPoolExecutor(len(runs)) as pool:
        assert list(pool.map(race, runs)).count(True) == 1


def test_a_guarded_database_asks_first_in_every_transaction(database: Database) -> None:
    guarded = Database(database.url, guard=FIRST.check)
    with database.connect() as conn:
        assert take(conn, FIRST)
        supersede(conn, SECOND)
    with pytest.raises(SupersededRunError):
        guarded.retrying(lambda conn: conn.execute("insert into participants (participant_ispb) values ('87654321')"))
    assert database.retrying(lambda conn: value(conn, "select count(*) from participants")) == 0
    guarded.unguarded().retrying(lambda conn: conn.execute("select 1"))


def test_a_run_that_is_reported_as_killed_writes_nothing_more(database: Database) -> None:
    with database.connect() as conn:
        assert take(conn, FIRST)
        leases.shut_out(conn, FIRST.run_id)
        leases.shut_out(conn, FIRST.run_id)
        for refused in (FIRST.check, lambda conn: take(conn, FIRST)):
            with pytest.raises(SupersededRunError, match=r"superseded by run run-1 \(reported as killed\) on a-host"):
                refused(conn)
        assert take(conn, SECOND), "the next one need not wait"
        leases.shut_out(conn, FIRST.run_id)
        SECOND.check(conn)
        assert value(conn, "select token from sync_leases") == 3


def test_who_reports_that_a_run_was_killed_waits_for_what_it_is_writing(database: Database) -> None:
    with database.connect() as conn:
        assert take(conn, FIRST)
    with database.connect() as alive, ThreadPoolExecutor(1) as pool, database.connect() as watcher:
        FIRST.check(alive)
        alive.execute("insert into outbox (participant_ispb, event_type, payload) values ('12345678', 'x', '{}')")
        shut_out = pool.submit(database.retrying, shut_out_and_count)
        wait_for_a_lock(watcher)
        alive.commit()
        assert shut_out.result(timeout=30) == 1, "it sees what was written"


def test_what_a_run_begins_while_it_is_reported_as_killed_is_refused(database: Database) -> None:
    with database.connect() as conn:
        assert take(conn, FIRST)
    with database.connect() as reporter, ThreadPoolExecutor(1) as pool, database.connect() as watcher:
        shut_out_and_count(reporter)
        begun = pool.submit(Database(database.url, FIRST.check).retrying, lambda _: None)
        wait_for_a_lock(watcher)
        reporter.commit()
        with pytest.raises(SupersededRunError, match="reported as killed"):
            begun.result(timeout=30)


def shut_out_and_count(conn: Connection) -> int:
    """Shut the first run out, and return how much it has written by then."""
    leases.shut_out(conn, FIRST.run_id)
    return int(value(conn, "select count(*) from outbox"))


def wait_for_a_lock(watcher: Connection) -> None:
    wait_until(lambda: afresh(watcher, WAITING), "nobody waits")
