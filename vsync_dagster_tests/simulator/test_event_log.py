"""The CID event log over HTTP: windows, pages, lag and the chain of VSyncs."""

from datetime import timedelta
from functools import reduce

import pytest

from vsync_dagster.dict_api.messages import CidSetEvent, ListCidSetEventsResponse
from vsync_dagster.dict_api.xml import parse_document
from vsync_dagster.reconcile.vsync import EMPTY_VSYNC, vsync, xor
from vsync_dagster.simulator.settings import Settings
from vsync_dagster.simulator.state import DictState
from vsync_dagster_tests.simulator.conftest import Start
from vsync_dagster_tests.simulator.parts import DIRECT, INDIRECT, NOON, Api, Clock, cids, entries, problem


def _xor(events: tuple[CidSetEvent, ...]) -> bytes:
    return reduce(xor, [event.cid for event in events], EMPTY_VSYNC)


@pytest.fixture
def people(state: DictState, clock: Clock) -> list[bytes]:
    """450 CIDs: 50 are held as if since ever, the others were added one a second."""
    state.bulk_create(entries(50, seed=2))
    added = []
    for one in entries(400):
        added.append(state.create_entry(one))
        clock.turn(1)
    clock.turn(10)
    return added


def test_a_page_is_ascending_and_its_verifiers_hold_after_its_first_and_last_event(
    api: Api, people: list[bytes], state: DictState
) -> None:
    before = vsync(one.cid() for one in entries(50, seed=2))
    page = api.events()
    assert cids(page.cid_set_events) == [("ADDED", cid) for cid in people[:100]]
    assert page.has_more_elements
    assert (page.start_time, page.end_time) == (NOON, NOON + timedelta(seconds=99))
    assert page.sync_verifier_start == xor(before, people[0])
    assert page.sync_verifier_end == xor(page.sync_verifier_start, _xor(page.cid_set_events[1:]))


def test_walking_the_pages_repeats_the_edge_and_ends_at_the_vsync(
    api: Api, people: list[bytes], state: DictState
) -> None:
    seen: list[CidSetEvent] = []
    start, more, end = NOON, True, EMPTY_VSYNC
    while more:
        page = api.events(StartTime=start.isoformat(), Limit=200)
        if seen:
            assert page.cid_set_events[0] == seen[-1]
            assert page.sync_verifier_start == end
        seen += page.cid_set_events[bool(seen) :]
        assert page.end_time
        assert page.sync_verifier_end
        start, more, end = page.end_time, page.has_more_elements, page.sync_verifier_end
    assert [event.cid for event in seen] == people
    assert end == state.cid_set(DIRECT, "CPF").vsync


def test_both_ends_of_a_window_are_part_of_it(api: Api, people: list[bytes]) -> None:
    window = {"StartTime": "2026-03-02T15:00:05.000Z", "EndTime": "2026-03-02T12:00:07.000-03:00"}
    page = api.events(**window)
    assert [event.cid for event in page.cid_set_events] == people[5:8]
    assert not page.has_more_elements
    inside = {"StartTime": "2026-03-02T15:00:05.000001Z", "EndTime": "2026-03-02T15:00:06.999999Z"}
    assert [event.cid for event in api.events(**inside).cid_set_events] == [people[6]]


def test_exactly_a_page_has_no_more(api: Api, people: list[bytes]) -> None:
    page = api.events(StartTime=(NOON + timedelta(seconds=200)).isoformat(), Limit=200)
    assert len(page.cid_set_events) == 200
    assert not page.has_more_elements


def test_an_event_is_listed_when_it_is_as_old_as_the_lag(start: Start, state: DictState, clock: Clock) -> None:
    api = start(Settings(log_lag=timedelta(seconds=5)))
    cid = state.create_entry(entries(1)[0])
    clock.turn(4.999)
    page = api.events()
    assert (page.cid_set_events, page.sync_verifier_end) == ((), EMPTY_VSYNC)
    clock.turn(0.001)
    page = api.events()
    assert (cids(page.cid_set_events), page.sync_verifier_end) == ([("ADDED", cid)], cid)


def test_an_empty_page_has_no_list_and_tells_the_vsync_at_the_windows_end(
    api: Api, people: list[bytes], state: DictState
) -> None:
    window = {"StartTime": (NOON - timedelta(hours=2)).isoformat(), "EndTime": (NOON - timedelta(hours=1)).isoformat()}
    raw = api.get("cids/events", Participant=DIRECT, KeyType="CPF", **window)
    assert parse_document(raw.content).find("CidSetEvents") is None
    page = api.events(**window)
    assert (page.start_time, page.end_time) == (NOON - timedelta(hours=2), NOON - timedelta(hours=1))
    assert page.sync_verifier_start == page.sync_verifier_end == vsync(one.cid() for one in entries(50, seed=2))
    assert not page.has_more_elements
    later = api.events(StartTime=(NOON + timedelta(seconds=401)).isoformat())
    assert later.sync_verifier_end == state.cid_set(DIRECT, "CPF").vsync
    assert later.end_time == later.response_time


def test_a_type_or_participant_without_events_is_an_empty_page(api: Api, people: list[bytes]) -> None:
    assert api.events("EVP").sync_verifier_end == EMPTY_VSYNC
    assert api.events("CPF", INDIRECT).cid_set_events == ()


def test_an_update_is_removed_and_added_in_one_millisecond(api: Api, state: DictState, clock: Clock) -> None:
    one = entries(1)[0]
    state.create_entry(one)
    old, new = state.update_entry(one.key, account_number="1")
    clock.turn(5)
    page: ListCidSetEventsResponse = api.events()
    assert cids(page.cid_set_events) == [("ADDED", old), ("REMOVED", old), ("ADDED", new)]
    assert page.sync_verifier_end == new


@pytest.mark.parametrize(
    "wrong",
    [
        {"Limit": "201"},
        {"Limit": "0"},
        {"Limit": "-1"},
        {"Limit": "x"},
        {"StartTime": "yesterday"},
        {"EndTime": "2026-03-02T15:00:05"},
        {"KeyType": "FAX"},
        {"KeyType": ""},
        {"Participant": ""},
        {"Participant": "123"},
    ],
)
def test_malformed_parameters_are_a_bad_request(api: Api, wrong: dict[str, str]) -> None:
    answer = api.get("cids/events", **{"Participant": DIRECT, "KeyType": "CPF", "Limit": "200"} | wrong)
    assert problem(answer) == (400, "BadRequest")
