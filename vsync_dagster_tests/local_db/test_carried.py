"""Sets carried forward over the ledger are the sets that the table holds, whatever happened to it meanwhile."""

import random
from dataclasses import replace
from uuid import UUID

import pytest
from psycopg.sql import SQL

from vsync_dagster.local_db import ledger
from vsync_dagster.local_db.carried import Baseline, LedgerUnusableError, carry_forward
from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.local_db.ledger import held_at
from vsync_dagster.local_db.snapshot import LocalSnapshotFacts, read_snapshot
from vsync_dagster_tests.local_db.parts import ISPB, OTHER_ISPB, insert, insert_all, make_entry, rows, value

KEY_TYPES = ["CPF", "EVP"]


def baselines(facts: LocalSnapshotFacts) -> dict[str, Baseline]:
    """What a whole read leaves behind for the next one."""
    return {
        key_type: Baseline(held, facts.taken_at, facts.pg_snapshot, facts.cluster)
        for key_type, held in facts.key_types.items()
    }


def change_something(conn: Connection, chance: random.Random, number: int) -> None:
    """Do to one entry, in an open transaction, what a participant's own systems do."""
    entry_id = chance.choice([row[0] for row in rows(conn, "select entry_id from entries")] or [None])
    status = chance.choice(["ACTIVE", "PENDING", "DELETED"])
    match chance.randrange(4):
        case 0:
            insert(conn, make_entry(number, key_type=chance.choice(KEY_TYPES)), status=status)
        case 1:
            conn.execute("update entries set cid = sha256(cid) where entry_id = %s", [entry_id])
        case 2:
            conn.execute("update entries set status = %s where entry_id = %s", [status, entry_id])
        case _:
            conn.execute("delete from entries where entry_id = %s", [entry_id])


@pytest.mark.parametrize("seed", range(5))
def test_after_any_changes_they_are_the_same_as_read_whole(database: Database, seed: int) -> None:
    chance = random.Random(seed)
    with database.connect() as conn:
        for number in range(20):
            insert(conn, make_entry(number, key_type=chance.choice(KEY_TYPES)))
    first = known = read_snapshot(database, ISPB)
    for step in range(6):
        with database.connect() as conn:
            for number in range(chance.randrange(8)):
                change_something(conn, chance, 1000 + 100 * step + number)
        carried, whole = carry_forward(database, ISPB, baselines(known)), read_snapshot(database, ISPB)
        assert carried.key_types == whole.key_types
        assert carry_forward(database, ISPB, baselines(first)).key_types == whole.key_types
        known = carried


def test_a_commit_that_came_late_is_neither_lost_nor_counted_twice(database: Database) -> None:
    """It began before the baseline was read and ended after it: older than it by id and by time."""
    with database.connect() as slow, database.connect() as conn:
        insert(slow, make_entry(1))
        insert(conn, make_entry(2))
        conn.commit()
        before = read_snapshot(database, ISPB)
        slow.commit()
    after = carry_forward(database, ISPB, baselines(before))
    assert after.key_types["CPF"].entries == 2
    assert after.key_types == read_snapshot(database, ISPB).key_types
    assert carry_forward(database, ISPB, baselines(after)).key_types == after.key_types


def test_what_is_rolled_back_and_what_is_anothers_does_not_count(database: Database) -> None:
    before = read_snapshot(database, ISPB)
    with database.connect() as conn:
        insert(conn, make_entry(1))
        conn.rollback()
        insert(conn, make_entry(2, participant=OTHER_ISPB))
    assert carry_forward(database, ISPB, baselines(before)).key_types == before.key_types


@pytest.mark.parametrize("cluster", ["1/1", ""])
def test_the_ledger_of_another_cluster_tells_nothing(database: Database, cluster: str) -> None:
    known = baselines(read_snapshot(database, ISPB))
    known["EVP"] = replace(known["EVP"], cluster=cluster)
    with pytest.raises(LedgerUnusableError, match="another PostgreSQL cluster"):
        carry_forward(database, ISPB, known)


def test_a_baseline_from_the_future_is_of_a_database_that_was_set_back(database: Database) -> None:
    known = baselines(read_snapshot(database, ISPB))
    known["EVP"] = replace(known["EVP"], local_snapshot="9000000:9000000:")
    with pytest.raises(LedgerUnusableError, match="later transaction"):
        carry_forward(database, ISPB, known)


@pytest.mark.parametrize(
    "order", ["disable trigger record_updated_cids", "enable trigger record_deleted_cids", "disable trigger all"]
)
def test_a_trigger_out_of_force_makes_the_ledger_worthless(database: Database, order: str) -> None:
    known = baselines(read_snapshot(database, ISPB))
    with database.connect() as conn:
        conn.execute(f"alter table entries {order}".encode())
    with pytest.raises(LedgerUnusableError, match="triggers"):
        carry_forward(database, ISPB, known)


def test_keys_of_a_type_that_nobody_ever_verified(database: Database) -> None:
    known = baselines(read_snapshot(database, ISPB))
    with database.connect() as conn:
        insert(conn, make_entry(1, key_type="HOLOGRAM"))
    with pytest.raises(LedgerUnusableError, match="never verified"):
        carry_forward(database, ISPB, known)


def test_more_went_than_there_were(database: Database) -> None:
    with database.connect() as conn:
        insert(conn, make_entry(1))
    known = baselines(read_snapshot(database, ISPB))
    known["CPF"] = replace(known["CPF"], held=known["EVP"].held)
    with database.connect() as conn:
        conn.execute("delete from entries")
    with pytest.raises(LedgerUnusableError, match="than there were"):
        carry_forward(database, ISPB, known)


def entry_ids(conn: Connection, snapshot: str, cids: list[bytes], ids: list[UUID]) -> set[UUID]:
    return {held.entry_id for chunk in held_at(conn, ISPB, cids, ids, local_snapshot=snapshot) for held in chunk}


def test_entries_as_a_snapshot_saw_them(database: Database) -> None:
    with database.connect() as conn:
        stays, goes, changes = (insert(conn, make_entry(number)) for number in (1, 2, 3))
    facts = read_snapshot(database, ISPB)
    with database.connect() as conn:
        conn.execute("delete from entries where entry_id = %s", [goes])
        conn.execute("update entries set cid = sha256(cid) where entry_id = %s", [changes])
        comes = insert(conn, make_entry(4))
    with database.connect() as conn:
        new_cid = value(conn, "select cid from entries where entry_id = %s", [changes])
        cids = [make_entry(number).cid() for number in (1, 2, 3, 4)]
        assert entry_ids(conn, facts.pg_snapshot, cids, []) == {stays, goes, changes}
        assert entry_ids(conn, facts.pg_snapshot, [new_cid], []) == set(), "it is there now, and was not then"
        assert entry_ids(conn, facts.pg_snapshot, [], [changes, comes]) == {changes}
        [[held]] = held_at(conn, ISPB, [], [changes], local_snapshot=facts.pg_snapshot)
        assert held.cid == make_entry(3).cid(), "with the CID that it had then"


def test_entries_are_found_by_an_index(database: Database) -> None:
    """For so many of so few, the planner would read the table, once for each chunk."""
    known = [make_entry(number) for number in range(200)]
    with database.connect() as conn:
        insert_all(conn, known)
        conn.execute("analyze entries")
    snapshot = read_snapshot(database, ISPB).pg_snapshot
    cids = [entry.cid() for entry in known]
    with database.connect() as conn:
        assert len(entry_ids(conn, snapshot, cids, [])) == 200
        parameters = {"ispb": ISPB, "snapshot": snapshot, "cids": cids, "entry_ids": []}
        plan = [line for [line] in conn.execute(SQL("explain ") + ledger._HELD_AT, parameters)]
    [scan] = [line for line in plan if "Scan on entries e" in line]
    assert "Bitmap Heap Scan" in scan


def test_entries_that_went_and_came_back_since(database: Database) -> None:
    with database.connect() as conn:
        entry_id = insert(conn, make_entry(1))
    facts = read_snapshot(database, ISPB)
    for status in ("DELETED", "ACTIVE"):
        with database.connect() as conn:
            conn.execute("update entries set status = %s", [status])
            assert entry_ids(conn, facts.pg_snapshot, [make_entry(1).cid()], []) == {entry_id}
