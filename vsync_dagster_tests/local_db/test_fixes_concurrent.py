"""Fixes while the participant's own systems write the same rows."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from vsync_dagster.local_db import outbox
from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.local_db.fixes import Fix, FixResult, apply_batch
from vsync_dagster_tests.local_db.parts import CIPHER, ISPB, RUN, afresh, insert, make_entry, rows, value
from vsync_dagster_tests.local_db.test_fixes import create, everything_else, outcomes, update
from vsync_dagster_tests.waiting import wait_until

# The tables, besides `outbox`, that a session which waits for an advisory lock has written to.
WRITTEN_BY_WAITING = """
select held.relation::regclass::text from pg_locks held join pg_locks wanted using (pid)
where not wanted.granted and wanted.locktype = 'advisory' and held.mode = 'RowExclusiveLock'
    and held.relation in ('cid_events'::regclass, 'entries'::regclass, 'fix_details'::regclass, 'fixes'::regclass)
order by 1
"""
WAITING = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"


def while_open(database: Database, change: Callable[[Connection], object], fix: Fix) -> list[FixResult]:
    """Apply a fix while a change of the row is not committed yet; commit it once the fix waits for it."""
    with database.connect() as theirs, ThreadPoolExecutor(1) as pool:
        change(theirs)
        applied = pool.submit(
            database.retrying, lambda conn: apply_batch(conn, CIPHER, RUN, ISPB, [fix]), sleep=lambda _: None
        )
        with database.connect() as watcher:
            wait_until(lambda: afresh(watcher, WAITING), "it waits for no lock", ended=applied.done)
        theirs.commit()
        return applied.result(timeout=10)


@pytest.mark.parametrize(
    "change", ["update entries set owner_type = 'X'", "update entries set status = 'DELETED'", "delete from entries"]
)
def test_an_update_waits_and_then_sees_that_the_row_moved(database: Database, change: str) -> None:
    with database.connect() as conn:
        entry_id = insert(conn, make_entry(1))
        conn.commit()
        fix = update(conn, entry_id, everything_else(1))
    assert outcomes(while_open(database, lambda conn: conn.execute(change.encode()), fix)) == ["MOVED"]
    with database.connect() as conn:
        assert rows(conn, "select 1 from entries where key_type = 'PHONE'") == []
        assert value(conn, "select count(*) from outbox") == 0


def test_a_creation_waits_and_then_fails_for_a_key_that_came(database: Database) -> None:
    target = make_entry(1)
    [result] = while_open(database, lambda conn: insert(conn, make_entry(1, owner_name="Maria")), create(target))
    assert result.outcome == "FAILED"
    assert "entries_active_key" in (result.error or "")


def test_a_promotion_waits_and_then_sees_that_the_row_moved(database: Database) -> None:
    target = make_entry(1)
    with database.connect() as conn:
        insert(conn, make_entry(1, owner_name="Maria"), status="PENDING")
    drop = "update entries set status = 'DELETED'"
    assert outcomes(while_open(database, lambda conn: conn.execute(drop.encode()), create(target))) == ["MOVED"]


def test_two_runs_of_the_same_batch_apply_it_once(database: Database) -> None:
    with database.connect() as conn:
        ids = [insert(conn, make_entry(n)) for n in range(50)]
        batch = [update(conn, entry_id, everything_else(n)) for n, entry_id in enumerate(ids)]
    start = threading.Barrier(2)

    def run(order: int) -> list[str]:
        start.wait(timeout=30)
        results = database.retrying(lambda conn: apply_batch(conn, CIPHER, f"run-{order}", ISPB, batch[::order]))
        return outcomes(results)

    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(run, (1, -1)))
    assert sorted(map(set, both), key=str) == [{"ALREADY"}, {"APPLIED"}]
    with database.connect() as conn:
        assert value(conn, "select count(*) from outbox") == 50


def test_another_batch_of_the_participant_waits_only_for_the_outbox(database: Database) -> None:
    with database.connect() as first, database.connect() as watcher, ThreadPoolExecutor(1) as pool:
        apply_batch(first, CIPHER, RUN, ISPB, [create(make_entry(1))])
        second = pool.submit(
            database.retrying, lambda conn: apply_batch(conn, CIPHER, RUN, ISPB, [create(make_entry(2))])
        )
        wait_until(lambda: afresh(watcher, WAITING), "the second batch is written before the first", ended=second.done)
        assert rows(watcher, WRITTEN_BY_WAITING) == [("cid_events",), ("entries",), ("fix_details",), ("fixes",)]
        first.commit()
        assert outcomes(second.result(timeout=10)) == ["APPLIED"]
        watcher.rollback()
        cids = [make_entry(number).cid().hex() for number in (1, 2)]
        assert [event.payload["cid"] for event in outbox.pending(watcher, 10)] == cids


@pytest.mark.parametrize("held", ["an outdated row", "a pending row", "a key that is not committed yet"])
def test_a_row_that_another_transaction_holds_fails_alone(database: Database, held: str) -> None:
    """As an orphaned prepared transaction does, which nobody ends."""
    with database.connect() as conn:
        outdated, free = insert(conn, make_entry(1)), insert(conn, make_entry(2))
        insert(conn, make_entry(3, owner_name="Maria"), status="PENDING")
        conn.commit()
        batch = [
            update(conn, outdated, everything_else(1)),
            update(conn, free, everything_else(2)),
            create(make_entry(3)),
            create(make_entry(4)),
            create(make_entry(5)),
        ]
    numbers = {"an outdated row": 0, "a pending row": 2, "a key that is not committed yet": 3}
    with database.connect() as theirs, database.connect() as conn:
        if held == "a key that is not committed yet":
            insert(theirs, make_entry(4, owner_name="Maria"))
        else:
            theirs.execute("select from entries where key = %s for update", [make_entry(numbers[held] + 1).key])
        conn.execute("set local lock_timeout = '100ms'")
        results = apply_batch(conn, CIPHER, RUN, ISPB, batch)
        conn.commit()
        theirs.rollback()
    assert [result.outcome for result in results] == [
        "FAILED" if n == numbers[held] else "APPLIED" for n in range(len(batch))
    ]
    assert "holds a lock" in (results[numbers[held]].error or "")
