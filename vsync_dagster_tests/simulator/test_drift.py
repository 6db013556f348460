"""Moving DICT and the participant's base apart, by known amounts."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from uuid import UUID

import pytest

from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.reconcile.cid import EntryAttributes, compute_cid
from vsync_dagster.reconcile.entry import Entry
from vsync_dagster.simulator.drift import drift
from vsync_dagster.simulator.errors import SimulatorStateError
from vsync_dagster.simulator.local_base import seed_local
from vsync_dagster.simulator.state import DictState
from vsync_dagster_tests.simulator.parts import DIRECT, NOON, OTHER, Clock, entries, log

FIVE = ("CPF", "CNPJ", "PHONE", "EMAIL", "EVP")


@pytest.fixture
def people(state: DictState) -> list[Entry]:
    made = entries(200, *FIVE)
    state.bulk_create(made)
    return made


def test_drift_at_dict_is_what_was_asked_for_and_in_the_log(
    state: DictState, people: list[Entry], clock: Clock
) -> None:
    before = {one.cid(): one for one in people}
    result = drift(state, None, DIRECT, creates=10, updates=15, deletes=20, seed=1)
    assert (len(result.created), len(result.updated), len(result.deleted)) == (10, 15, 20)
    assert result.tampered == ()
    old = {was for was, _ in result.updated}
    assert len(old | set(result.deleted)) == 35
    assert old | set(result.deleted) <= set(before)
    assert all(was != now for was, now in result.updated)
    expected = set(before) - old - set(result.deleted) | set(result.created) | {now for _, now in result.updated}
    held = {held.cid() for held in state.entries(DIRECT)}
    assert held == expected
    for kind in FIVE:
        events = Counter(event for event, *_ in log(state, kind))
        assert events == {"ADDED": 2 + 3, "REMOVED": 3 + 4}
    created = state.entry_by_cid(result.created[0])
    assert created is not None
    assert created.entry.created_at == NOON
    for was, now in result.updated:
        updated = state.entry_by_cid(now)
        assert updated is not None
        assert (updated.entry.key, updated.entry.request_id) == (before[was].key, before[was].request_id)


def test_the_same_seed_picks_the_same_keys_and_drifting_again_moves_others(
    state: DictState, people: list[Entry]
) -> None:
    first = drift(state, None, DIRECT, creates=3, updates=3, deletes=3, seed=1)
    second = drift(state, None, DIRECT, creates=3, updates=3, deletes=3, seed=1)
    assert set(first.created).isdisjoint(second.created)
    assert len(list(state.entries(DIRECT))) == 200


def test_drift_can_keep_to_one_type_and_to_one_participant(state: DictState, people: list[Entry]) -> None:
    state.bulk_create(entries(10, ispb=OTHER))
    result = drift(state, None, DIRECT, creates=5, updates=5, deletes=5, key_types=("CPF",))
    assert len(result.created) == 5
    assert len(log(state, "CPF")) == 5 + 2 * 5 + 5
    assert all(log(state, kind) == [] for kind in FIVE[1:])
    assert log(state, "CPF", OTHER) == []


def test_a_type_that_runs_out_leaves_its_share_to_the_others_until_nothing_is_left(state: DictState) -> None:
    state.bulk_create([*entries(2, "EVP"), *entries(10, "CPF")])
    assert len(drift(state, None, DIRECT, deletes=11).deleted) == 11
    with pytest.raises(SimulatorStateError, match="2 keys were to change"):
        drift(state, None, DIRECT, updates=2)


@pytest.fixture
def conn(database: Database, people: list[Entry]) -> Iterator[Connection]:
    with database.connect() as connection:
        assert seed_local(connection, people) == len(people)
    with database.connect() as connection:
        yield connection


def test_the_local_base_is_seeded_as_dict_has_it(conn: Connection, people: list[Entry]) -> None:
    rows = conn.execute(
        "select key_type, key, owner_tax_id, owner_name, owner_trade_name, participant_ispb, branch, account_number,"
        " account_type, request_id, cid, status, account_opened_at, owner_type, created_at, key_owned_since"
        " from entries"
    ).fetchall()
    assert {(EntryAttributes(*row[:9]), *row[9:]) for row in rows} == {
        (
            one.attributes(),
            one.request_id,
            one.cid(),
            "ACTIVE",
            one.account_opened_at,
            one.owner_type,
            one.created_at,
            one.key_owned_since,
        )
        for one in people
    }


def test_tampering_changes_attributes_beneath_unchanged_cids(
    state: DictState, conn: Connection, people: list[Entry]
) -> None:
    result = drift(state, conn, DIRECT, updates=10, deletes=10, local_tampers=25)
    bent = _bent(conn)
    assert set(result.tampered) == set(bent)
    assert len(result.tampered) == 25
    assert Counter(kind for kind, _ in bent.values()) == dict.fromkeys(FIVE, 5)
    moved = {was for was, _ in result.updated} | set(result.deleted)
    assert moved.isdisjoint(cid for _, cid in bent.values())
    assert len(conn.execute("select 1 from entries where owner_name like '% Adulterado'").fetchall()) in (12, 13)
    assert {cid for (cid,) in conn.execute("select cid from entries")} == {one.cid() for one in people}


def _bent(conn: Connection) -> dict[UUID, tuple[str, bytes]]:
    """The rows that do not hash to their CID, by entry id."""
    rows = conn.execute(
        "select entry_id, cid, request_id, key_type, key, owner_tax_id, owner_name, owner_trade_name,"
        " participant_ispb, branch, account_number, account_type from entries"
    ).fetchall()
    return {row[0]: (row[3], row[1]) for row in rows if compute_cid(EntryAttributes(*row[3:]), row[2]) != row[1]}


def test_tampering_needs_a_base_with_enough_rows(state: DictState, conn: Connection) -> None:
    with pytest.raises(SimulatorStateError, match="needs a connection"):
        drift(state, None, DIRECT, local_tampers=1)
    with pytest.raises(SimulatorStateError, match="201 rows"):
        drift(state, conn, DIRECT, local_tampers=201)


def test_rows_of_others_and_rows_not_active_are_left_alone(state: DictState, conn: Connection) -> None:
    theirs = [replace(one, participant=OTHER) for one in entries(5, seed=9)]
    seed_local(conn, theirs)
    conn.execute("update entries set status = 'PENDING' where key_type = 'CPF' and participant_ispb = %s", [DIRECT])
    result = drift(state, conn, DIRECT, local_tampers=20)
    touched = conn.execute(
        "select distinct key_type, participant_ispb, status from entries where entry_id = any(%s)",
        [list(result.tampered)],
    ).fetchall()
    assert {row[0] for row in touched} == set(FIVE) - {"CPF"}
    assert {row[1:] for row in touched} == {(DIRECT, "ACTIVE")}
