"""What DICT's operations do to its entries, its CID sets and their logs."""

import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vsync_dagster.reconcile.cid import compute_cid
from vsync_dagster.reconcile.vsync import EMPTY_VSYNC, vsync, xor
from vsync_dagster.simulator.errors import DictRuleError, SimulatorStateError
from vsync_dagster.simulator.state import DictState
from vsync_dagster.simulator.times import to_ms
from vsync_dagster_tests.simulator.parts import DIRECT, INDIRECT, NOON, OTHER, Clock, an_entry, entries, log

OFFICIAL_CID = "28c06eb41c4dc9c3ae114831efcac7446c8747777fca8b145ecd31ff8480ae88"


def test_the_official_vector_is_the_cid_and_the_only_one_is_the_vsync(state: DictState) -> None:
    assert state.create_entry(an_entry()).hex() == OFFICIAL_CID
    assert state.cid_set(DIRECT, "PHONE").vsync.hex() == OFFICIAL_CID
    assert state.cid_set(DIRECT, "CPF").vsync == EMPTY_VSYNC


def test_an_entry_comes_back_exactly_as_it_went_in(state: DictState) -> None:
    entry = an_entry(branch=None, owner_trade_name="Pão & Arte", owner_name="D'Ávila  ")
    state.create_entry(entry)
    held = state.entry_by_cid(entry.cid())
    assert held is not None
    assert held.entry == entry
    assert held.open_claim_at is None


def test_the_same_request_again_is_no_second_event(state: DictState) -> None:
    state.create_entry(an_entry())
    state.create_entry(an_entry())
    assert len(log(state, "PHONE")) == 1


@pytest.mark.parametrize(
    ("other", "kind"),
    [
        ({"account_number": "1"}, "EntryAlreadyExists"),
        ({"participant": OTHER}, "EntryKeyInCustodyOfDifferentParticipant"),
        ({"participant": OTHER, "owner_tax_id": "1"}, "EntryKeyOwnedByDifferentPerson"),
        ({"participant": "99999999", "key": "+5511900000000"}, "ParticipantInvalid"),
    ],
)
def test_a_key_is_held_once_and_by_a_known_participant(state: DictState, other: dict[str, Any], kind: str) -> None:
    state.create_entry(an_entry())
    with pytest.raises(DictRuleError) as refused:
        state.create_entry(an_entry(**other))
    assert refused.value.kind == kind
    assert state.cids(DIRECT, "PHONE") == {bytes.fromhex(OFFICIAL_CID)}


def test_an_update_keeps_the_request_id_and_is_two_events_in_one_millisecond(state: DictState, clock: Clock) -> None:
    before = state.create_entry(an_entry())
    clock.turn(1)
    old, new = state.update_entry(an_entry().key, branch=None, account_number="99")
    changed = an_entry(branch=None, account_number="99")
    assert (old, new) == (before, compute_cid(changed.attributes(), an_entry().request_id))
    at = to_ms(clock.now())
    assert [(kind, cid, time) for kind, cid, time, _ in log(state, "PHONE")[1:]] == [
        ("REMOVED", old, at),
        ("ADDED", new, at),
    ]
    assert state.entry_by_cid(old) is None


def test_an_update_of_the_opening_date_alone_logs_the_same_cid_twice(state: DictState) -> None:
    cid = state.create_entry(an_entry())
    assert state.update_entry(an_entry().key, account_opened_at=NOON) == (cid, cid)
    assert [(kind, of) for kind, of, _, _ in log(state, "PHONE")] == [
        ("ADDED", cid),
        ("REMOVED", cid),
        ("ADDED", cid),
    ]
    held = state.entry_by_cid(cid)
    assert held is not None
    assert held.entry.account_opened_at == NOON


def test_a_deleted_key_is_gone_and_can_be_registered_again(state: DictState) -> None:
    cid = state.create_entry(an_entry())
    assert state.delete_entry(an_entry().key) == cid
    assert state.entry_by_key(an_entry().key) is None
    with pytest.raises(DictRuleError):
        state.delete_entry(an_entry().key)
    state.create_entry(an_entry())
    assert [kind for kind, *_ in log(state, "PHONE")] == ["ADDED", "REMOVED", "ADDED"]


def test_a_claim_takes_from_the_donor_and_later_gives_to_the_claimer(state: DictState) -> None:
    theirs = an_entry(participant=OTHER, request_id=entries(1)[0].request_id)
    state.create_entry(an_entry())
    state.open_claim(an_entry().key)
    held = state.entry_by_key(an_entry().key)
    assert held is not None
    assert held.open_claim_at == NOON
    with pytest.raises(DictRuleError):
        state.complete_claim(theirs)
    state.confirm_claim(an_entry().key)
    assert state.cid_set(DIRECT, "PHONE").vsync == EMPTY_VSYNC == state.cid_set(OTHER, "PHONE").vsync
    with pytest.raises(DictRuleError, match="EntryLockedByClaim"):
        state.create_entry(an_entry())
    assert state.complete_claim(theirs) == theirs.cid()
    assert [kind for kind, *_ in log(state, "PHONE")] == ["ADDED", "REMOVED"]
    assert [(kind, cid) for kind, cid, *_ in log(state, "PHONE", OTHER)] == [("ADDED", theirs.cid())]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.integers(0, 5), st.integers(-3, 3), st.sampled_from("cud")), max_size=25))
def test_every_vsync_of_the_log_is_the_xor_of_the_events_so_far(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int, str]]
) -> None:
    """Whatever happens, and though the clock is put back now and then, which no time stamp shows."""
    clock, people = Clock(), entries(6)
    with DictState(tmp_path_factory.mktemp("dict") / "dict.sqlite", now=clock.now) as state:
        state.participants.add(DIRECT)
        for who, seconds, what in steps:
            clock.turn(seconds)
            _step(state, people[who].key, what, people)
        logged = log(state)
        running = EMPTY_VSYNC
        for _, cid, _, after in logged:
            running = xor(running, cid)
            assert after == running
        times = [at for _, _, at, _ in logged]
        assert times == sorted(times)
        assert state.cid_set(DIRECT, "CPF").vsync == running == vsync(state.cids(DIRECT, "CPF"))
        assert state.cid_set(DIRECT, "CPF").size == len(state.cids(DIRECT, "CPF"))


def _step(state: DictState, key: str, what: str, people: list[Any]) -> None:
    held = state.entry_by_key(key)
    if held is None:
        state.create_entry(next(one for one in people if one.key == key))
    elif what == "d":
        state.delete_entry(key)
    else:
        state.update_entry(key, account_number=f"{int(held.entry.account_number) % 3 + 1}")


def test_a_population_is_there_as_if_since_ever(state: DictState) -> None:
    people = entries(12_001, "CPF", "PHONE")
    assert state.bulk_create(people) == 12_001
    assert state.cids(DIRECT, "CPF") == {one.cid() for one in people[::2]}
    assert state.cid_set(DIRECT, "PHONE").vsync == vsync(one.cid() for one in people[1::2])
    assert state.cid_set(DIRECT, "CPF").size == 6_001
    assert log(state) == []
    assert list(state.entries(DIRECT, "CPF")) == people[::2]
    assert len(list(state.entries(DIRECT))) == 12_001


def test_a_population_can_come_with_its_log_a_millisecond_apart(state: DictState) -> None:
    people = entries(6_000)
    state.bulk_create(people, log_from=NOON - timedelta(seconds=5.5))
    logged = log(state)
    assert [cid for _, cid, _, _ in logged] == [one.cid() for one in people]
    begin = to_ms(NOON) - 5_500
    assert [at for _, _, at, _ in logged] == [min(begin + place, to_ms(NOON)) for place in range(6_000)]
    assert logged[-1][3] == state.cid_set(DIRECT, "CPF").vsync == vsync(one.cid() for one in people)


def test_a_population_is_not_taken_twice(state: DictState) -> None:
    state.bulk_create(entries(10))
    with pytest.raises(DictRuleError, match="EntryAlreadyExists"):
        state.bulk_create(entries(20))
    assert state.cid_set(DIRECT, "CPF").size == 10 == len(state.cids(DIRECT, "CPF"))


def test_a_sample_is_the_same_for_the_same_seed_and_never_more_than_there_is(state: DictState) -> None:
    state.bulk_create(entries(50))
    picked = [held.cid for held in state.sample(DIRECT, "CPF", 10, "a")]
    assert len(set(picked)) == 10
    assert picked == [held.cid for held in state.sample(DIRECT, "CPF", 10, "a")]
    assert picked != [held.cid for held in state.sample(DIRECT, "CPF", 10, "b")]
    assert {held.cid for held in state.sample(DIRECT, "CPF", 99, "a")} == state.cids(DIRECT, "CPF")
    assert state.sample(DIRECT, "EVP", 1, "a") == []


def test_everything_survives_a_restart(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "deep" / "dict.sqlite"
    with DictState(path, now=clock.now) as state:
        state.participants.add(DIRECT)
        state.participants.add(INDIRECT, via=DIRECT)
        state.create_entry(an_entry())
        state.verify(DIRECT, "PHONE", EMPTY_VSYNC)
        made = state.files.request(DIRECT, "PHONE", timedelta(0))
        before = log(state, "PHONE")
    with DictState(path, now=clock.now) as state:
        assert state.participants.all() == {DIRECT: None, INDIRECT: DIRECT}
        assert state.cids(DIRECT, "PHONE") == {an_entry().cid()}
        assert state.cid_set(DIRECT, "PHONE").vsync == an_entry().cid()
        assert log(state, "PHONE") == before
        assert state.verifications(DIRECT) == [("PHONE", NOON, "NOK")]
        found = state.files.get(made.id)
        assert found is not None
        assert found.status == "AVAILABLE"
        assert state.verify(DIRECT, "PHONE", an_entry().cid()) == (2, True)


def test_a_state_of_another_version_is_refused(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "dict.sqlite"
    with DictState(path, now=clock.now) as state:
        state.file.connection.execute("PRAGMA user_version = 99")
    with pytest.raises(SimulatorStateError, match="another version"):
        DictState(path, now=clock.now)


@pytest.mark.parametrize(("ispb", "via"), [("1234567", None), ("12345678", "12345678"), ("12345678", "x"), ("", None)])
def test_participants_that_cannot_be(state: DictState, ispb: str, via: str | None) -> None:
    with pytest.raises(SimulatorStateError):
        state.participants.add(ispb, via=via)


def test_writers_at_once_lose_nothing(state: DictState, clock: Clock) -> None:
    """Two states on one file stand for two processes, each with several threads."""
    people = entries(120)
    with DictState(state.file.path, now=clock.now) as other:
        threads = [
            threading.Thread(target=_create_all, args=((state, other)[place % 2], people[place::4]))
            for place in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert state.cid_set(DIRECT, "CPF").vsync == vsync(one.cid() for one in people)
    assert log(state)[-1][3] == state.cid_set(DIRECT, "CPF").vsync
    assert len(log(state)) == 120


def _create_all(state: DictState, people: list[Any]) -> None:
    for one in people:
        state.create_entry(one)
