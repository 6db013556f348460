"""Customers who create, change, delete and port keys all the time, on both sides, while their participant is synced."""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import psycopg
import pytest
from psycopg.sql import SQL, Placeholder

from vsync_dagster.local_db.entry_columns import column_list, entry_values
from vsync_dagster.reconcile.entry import Entry
from vsync_dagster.simulator.drift import drift
from vsync_dagster.simulator.local_base import seed_local
from vsync_dagster.simulator.population import generate
from vsync_dagster_tests.faults.scene import when_an_asset_begins
from vsync_dagster_tests.reliability import fault
from vsync_dagster_tests.world import ISPB, World

OTHER_ISPB = "87654321"
PAUSE_S = 0.004
_UPDATE = "update entries set account_number = %s, cid = %s, updated_at = now() where key = %s and status = 'ACTIVE'"
_DELETE = "update entries set status = 'DELETED', deleted_at = now() where key = %s and status = 'ACTIVE'"


class Customers:
    """Does at DICT what a customer asks for, and then here, as a participant's own system does."""

    def __init__(self, world: World) -> None:
        self.changes = 0
        self._world, self._chance, self._held = world, random.Random(1), list[Entry]()
        self._new = generate(ISPB, 1_000_000, "customers", ["PHONE", "EMAIL"])
        self._stop = threading.Event()

    def run(self) -> None:
        """Go on until `stop`."""
        with psycopg.connect(self._world.database.url, autocommit=True) as connection:
            while not self._stop.is_set():
                (self._create, self._create, self._change, self._delete, self._port)[self._chance.randrange(5)](
                    connection
                )
                self.changes += 1
                time.sleep(PAUSE_S)

    def stop(self) -> None:
        """End with the change at hand."""
        self._stop.set()

    def _create(self, connection: "psycopg.Connection[tuple[object, ...]]") -> None:
        entry = next(self._new)
        self._world.directory.create_entry(entry)
        seed_local(connection, [entry])
        self._held.append(entry)

    def _change(self, connection: "psycopg.Connection[tuple[object, ...]]") -> None:
        if not self._held:
            return
        number = self._chance.randrange(len(self._held))
        account = str(self._chance.randrange(10**6, 10**7))
        entry = self._held[number] = replace(self._held[number], account_number=account)
        _, cid = self._world.directory.update_entry(entry.key, account_number=account)
        connection.execute(_UPDATE, [account, cid, entry.key])

    def _delete(self, connection: "psycopg.Connection[tuple[object, ...]]") -> None:
        if self._held:
            entry = self._held.pop(self._chance.randrange(len(self._held)))
            self._world.directory.delete_entry(entry.key)
            connection.execute(_DELETE, [entry.key])

    def _port(self, connection: "psycopg.Connection[tuple[object, ...]]") -> None:
        """The key goes to another participant."""
        if self._held:
            entry = self._held.pop(self._chance.randrange(len(self._held)))
            self._world.directory.open_claim(entry.key)
            self._world.directory.confirm_claim(entry.key)
            connection.execute(_DELETE, [entry.key])
            self._world.directory.complete_claim(replace(entry, participant=OTHER_ISPB))


@contextmanager
def busy_customers(world: World) -> Iterator[Customers]:
    world.directory.participants.add(OTHER_ISPB)
    customers = Customers(world)
    thread = threading.Thread(target=customers.run)
    thread.start()
    try:
        yield customers
    finally:
        customers.stop()
        thread.join()


@pytest.mark.long
@fault(
    "Customers",
    "up to 200 changes a second on both sides while the sync runs: created, changed, deleted, ported",
    "No change is overwritten and no false discrepancy reported; the drift is repaired, and proved by the event chain.",
)
@pytest.mark.parametrize("sync_type", ["FULL", "INCREMENTAL"])
def test_customers_do_not_wait(unmetered_world: World, sync_type: str) -> None:
    world = unmetered_world
    world.populate(2_000)
    world.sync()
    drift(world.directory, None, ISPB, creates=30, updates=30, deletes=10)
    world.settle()

    with busy_customers(world) as customers:
        time.sleep(1)
        before = customers.changes
        report = world.sync(sync_type)
        changes = customers.changes - before

    assert changes > 100, "customers were busy"
    assert (report.entries_created, report.entries_updated, report.entries_deleted) == (30, 30, 10)
    assert (report.discrepancies, report.fixes_failed) == (70, 0)
    assert {told["after"] for told in report.key_types.values()} == {"OK"}
    world.settle()
    assert world.cids_at_dict() <= world.cids_here()
    assert len(world.cids_here() - world.cids_at_dict()) == 10
    assert world.sync().status == "COMPLETED"


def outdated_keys(world: World) -> list[str]:
    at_dict = world.cids_at_dict()
    rows = world.sql("select key, cid from entries where status = 'ACTIVE' order by key")
    return [key for key, cid in rows if cid not in at_dict]


def change(world: World, key: str) -> None:
    """A customer changes the account at DICT and then here; the whole row is written as DICT now has it."""
    world.directory.update_entry(key, account_number="7654321")
    held = world.directory.entry_by_key(key)
    assert held is not None
    write = SQL("update entries set ({}) = ({}), cid = %s, updated_at = now() where key = %s and status = 'ACTIVE'")
    with world.database.connect() as connection:
        values = entry_values(held.entry)
        statement = write.format(column_list(), SQL(", ").join([Placeholder()] * len(values)))
        connection.execute(statement, [*values, held.cid, key])


def delete(world: World, key: str) -> None:
    """A customer deletes a key."""
    world.directory.delete_entry(key)
    world.sql(_DELETE, key)


@fault(
    "Customers",
    "an outdated key is changed, or deleted, between the comparison and its repair",
    "What the customer did stands; the other keys are repaired. The next sync is COMPLETED.",
)
@pytest.mark.parametrize("sync_type", ["FULL", "INCREMENTAL"])
def test_a_customer_comes_first(world: World, sync_type: str, monkeypatch: pytest.MonkeyPatch) -> None:
    world.populate(50)
    world.sync()
    drift(world.directory, None, ISPB, updates=4, key_types=["PHONE"])
    world.settle()
    changed, deleted, *others = outdated_keys(world)
    updates = "select count(*) from cid_events join entries using (entry_id) where key = %s and event_id > %s"
    [(last,)] = world.sql("select max(event_id) from cid_events")

    def customers() -> None:
        change(world, changed)
        delete(world, deleted)

    when_an_asset_begins(monkeypatch, "applied_fixes", customers)

    report = world.sync(sync_type)

    assert (report.entries_updated, report.fixes_failed) == (len(others), 0)
    assert world.sql(updates, changed, last) == [(2,)], "one change: a CID went, another came"
    assert world.sql("select status, account_number from entries where key = %s", changed) == [("ACTIVE", "7654321")]
    assert world.sql("select status from entries where key = %s", deleted) == [("DELETED",)]
    world.settle()
    assert world.sync().status == "COMPLETED"
    assert world.cids_here() == world.cids_at_dict()
