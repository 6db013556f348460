"""Token buckets count as DICT documents them."""

import pytest

from vsync_dagster.dict_api.messages import GetPolicyResponse, ListPoliciesResponse, Policy
from vsync_dagster.simulator.buckets import DOCUMENTED, Limit
from vsync_dagster.simulator.faults import FaultKind
from vsync_dagster.simulator.operations import POLICIES, Operation
from vsync_dagster.simulator.settings import Settings
from vsync_dagster.simulator.state import DictState
from vsync_dagster_tests.simulator.conftest import Start
from vsync_dagster_tests.simulator.parts import DIRECT, INDIRECT, OTHER, Api, Clock, problem, read

SMALL = Limit(3, 10, 60)
UNKNOWN_CID = f"cids/entries/{'0' * 64}"


def _drain(state: DictState, limit: Limit) -> int:
    taken = 0
    while state.buckets.take(DIRECT, "P", limit):
        taken += 1
    return taken


@pytest.mark.parametrize("limit", DOCUMENTED.values(), ids=DOCUMENTED)
def test_a_full_bucket_gives_its_size_and_refills_at_its_rate(state: DictState, clock: Clock, limit: Limit) -> None:
    small = Limit(min(limit.capacity, 50), limit.refill_tokens, limit.refill_period_sec)
    assert _drain(state, small) == small.capacity
    per_token = limit.refill_period_sec / limit.refill_tokens
    clock.turn(per_token * 3 + 0.001)
    assert state.buckets.level(DIRECT, "P", small) == 3
    assert _drain(state, small) == 3
    clock.turn(limit.refill_period_sec * small.capacity)
    assert _drain(state, small) == small.capacity


def test_no_fraction_of_a_token_is_lost_or_won(state: DictState, clock: Clock) -> None:
    assert _drain(state, SMALL) == 3
    for _ in range(60):
        assert not state.buckets.take(DIRECT, "P", SMALL)
        clock.turn(0.1)
    assert _drain(state, SMALL) == 1


def test_a_bucket_that_refills_in_steps_waits_for_the_end_of_its_period(state: DictState, clock: Clock) -> None:
    limit = Limit(3, 2, 60, in_steps=True)
    assert _drain(state, limit) == 3
    clock.turn(59.999)
    assert _drain(state, limit) == 0
    clock.turn(0.001)
    assert _drain(state, limit) == 2


def test_a_clock_put_back_gives_and_takes_nothing(state: DictState, clock: Clock) -> None:
    _drain(state, SMALL)
    clock.turn(-600)
    assert not state.buckets.take(DIRECT, "P", SMALL)
    clock.turn(606)
    assert _drain(state, SMALL) == 1


def test_a_bucket_starts_anew_under_another_period_and_never_exceeds_another_size(state: DictState) -> None:
    _drain(state, SMALL)
    assert _drain(state, Limit(4, 1, 86_400)) == 4
    state.buckets.give_back(DIRECT, "P", Limit(4, 1, 86_400))
    assert _drain(state, Limit(4, 1, 86_400)) == 1


def test_every_policy_is_charged_by_its_own_operation(start: Start, state: DictState) -> None:
    assert set(POLICIES) == set(Operation) - {Operation.DOWNLOAD_CID_SET_FILE}
    api = start()
    before = {policy.name: policy.available_tokens for policy in _policies(api)}
    assert before["POLICIES_LIST"] == 19
    assert {name: before[name] for name in before if name != "POLICIES_LIST"} == {
        name: limit.capacity for name, limit in DOCUMENTED.items() if name != "POLICIES_LIST"
    }
    api.get("cids/files/1")
    api.get("cids/events", Participant=DIRECT, KeyType="CPF")
    api.get(UNKNOWN_CID)
    api.get("policies/CIDS_FILES_WRITE")
    changed = {policy.name for policy in _policies(api) if policy.available_tokens != before[policy.name]}
    assert changed == {"CIDS_FILES_READ", "CIDS_EVENTS_LIST", "CIDS_ENTRIES_READ", "POLICIES_READ", "POLICIES_LIST"}


def _policies(api: Api) -> list[Policy]:
    answer = read(ListPoliciesResponse, api.get("policies/"))
    assert answer.category == "A"
    return list(answer.policies)


def test_everything_but_500_costs_one_and_an_empty_bucket_answers_429(
    start: Start, state: DictState, clock: Clock
) -> None:
    api = start(Settings(limits={"CIDS_ENTRIES_READ": Limit(4, 60, 60)}))
    faults, operation = state.faults, Operation.GET_ENTRY_BY_CID
    faults.add(operation, FaultKind.STATUS, status=500, times=5)
    assert [api.get(UNKNOWN_CID).status_code for _ in range(5)] == [500] * 5
    faults.add(operation, FaultKind.STATUS, status=503, retry_after=7)
    assert api.get(UNKNOWN_CID).status_code == 503
    assert api.get("cids/entries/no-cid").status_code == 400
    assert [api.get(UNKNOWN_CID).status_code for _ in range(3)] == [404, 404, 429]
    answer = api.get(UNKNOWN_CID)
    assert problem(answer) == (429, "RateLimited")
    assert "Retry-After" not in answer.headers
    assert state.calls.total(operation, status=429, participant=DIRECT) == 2
    clock.turn(1)
    assert api.get(UNKNOWN_CID).status_code == 404
    assert api.get(UNKNOWN_CID).status_code == 429


def test_a_call_nobody_can_read_costs_a_token_where_the_header_tells_whose(start: Start) -> None:
    api = start(Settings(limits={"SYNC_VERIFICATIONS_WRITE": Limit(1, 1, 60)}))
    assert [api.http.post("sync-verifications/", content=b"<", headers=api.headers).status_code for _ in range(2)] == [
        400,
        429,
    ]
    assert api.http.post("sync-verifications/", content=b"<").status_code == 400


def test_an_indirect_can_be_charged_to_its_direct_participant(start: Start) -> None:
    api = start(Settings(limits={"CIDS_ENTRIES_READ": Limit(2, 1, 60)}, indirects_share_buckets=True))
    stranger, indirect = Api(api.http, OTHER), Api(api.http, INDIRECT)
    assert [one.get(UNKNOWN_CID).status_code for one in (api, indirect, api, indirect)] == [404, 404, 429, 429]
    assert stranger.get(UNKNOWN_CID).status_code == 404
    assert read(GetPolicyResponse, indirect.get("policies/CIDS_ENTRIES_READ")).policy.available_tokens == 0


def test_buckets_are_each_ispbs_own_indirect_ones_included(start: Start) -> None:
    settings = Settings(limits={"CIDS_ENTRIES_READ": Limit(1, 1, 60)})
    api = start(settings)
    assert [one.get(UNKNOWN_CID).status_code for one in (api, api, Api(api.http, INDIRECT))] == [404, 429, 404]


def test_buckets_survive_a_restart_of_the_server(start: Start) -> None:
    settings = Settings(limits={"CIDS_ENTRIES_READ": Limit(1, 1, 60)})
    assert start(settings).get(UNKNOWN_CID).status_code == 404
    assert start(settings).get(UNKNOWN_CID).status_code == 429


def test_a_policy_there_is_not_is_not_found(api: Api) -> None:
    assert problem(api.get("policies/NONE")) == (404, "NotFound")
