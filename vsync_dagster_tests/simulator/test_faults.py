"""Each scripted fault, seen from the other end of a real connection."""

import hashlib
import time
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from vsync_dagster.dict_api.messages import CreateCidSetFileRequest, GetEntryByCidResponse
from vsync_dagster.dict_api.xml import MalformedMessageError, parse_document
from vsync_dagster.reconcile.vsync import EMPTY_VSYNC, xor
from vsync_dagster.simulator.errors import SimulatorStateError
from vsync_dagster.simulator.faults import FaultKind
from vsync_dagster.simulator.operations import Operation
from vsync_dagster.simulator.settings import Settings
from vsync_dagster.simulator.state import DictState
from vsync_dagster_tests.simulator.conftest import Start
from vsync_dagster_tests.simulator.parts import DIRECT, Api, Clock, an_entry, entries, fetch, problem, read
from vsync_dagster_tests.simulator.test_cid_files import ask, download, poll

LOOK_UP, EVENTS = Operation.GET_ENTRY_BY_CID, Operation.LIST_CID_SET_EVENTS
CREATE, DOWNLOAD = Operation.CREATE_CID_SET_FILE, Operation.DOWNLOAD_CID_SET_FILE
LATER = Settings(file_delay=timedelta(0), log_lag=timedelta(0))


@pytest.fixture
def prompt(start: Start) -> Api:
    """A simulator whose files are ready, and whose events are listed, at once."""
    return start(LATER)


@pytest.fixture
def path(state: DictState) -> str:
    return f"cids/entries/{state.create_entry(an_entry()).hex()}"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "BadRequest"),
        (403, "Forbidden"),
        (404, "NotFound"),
        (429, "RateLimited"),
        (500, "InternalServerError"),
        (502, "InternalServerError"),
        (503, "ServiceUnavailable"),
    ],
)
def test_a_status_is_a_problem_and_then_all_is_well_again(
    api: Api, state: DictState, path: str, status: int, kind: str
) -> None:
    state.faults.add(LOOK_UP, FaultKind.STATUS, status=status, times=2)
    for _ in range(2):
        answer = api.get(path)
        assert problem(answer) == (status, kind)
        assert "Retry-After" not in answer.headers
    assert api.get(path).status_code == 200


def test_a_503_can_tell_when_to_come_back(api: Api, state: DictState, path: str) -> None:
    state.faults.add(LOOK_UP, FaultKind.STATUS, status=503, retry_after=120)
    assert api.get(path).headers["Retry-After"] == "120"


def test_faults_wait_their_turn_and_only_strike_their_operation(api: Api, state: DictState, path: str) -> None:
    state.faults.add(LOOK_UP, FaultKind.STATUS, status=503, after=2)
    state.faults.add(LOOK_UP, FaultKind.STATUS, status=404)
    assert state.faults.pending(LOOK_UP) == 2
    assert api.get("policies/").status_code == 200
    assert [api.get(path).status_code for _ in range(5)] == [200, 200, 503, 404, 200]
    assert state.faults.pending(LOOK_UP) == 0
    state.faults.add(LOOK_UP, FaultKind.STATUS, status=503, times=99)
    state.faults.clear()
    assert api.get(path).status_code == 200


def test_a_fault_can_be_set_from_another_process(api: Api, state: DictState, path: str, clock: Clock) -> None:
    with DictState(state.file.path, now=clock.now) as elsewhere:
        elsewhere.faults.add(LOOK_UP, FaultKind.STATUS, status=503)
    assert [api.get(path).status_code for _ in range(2)] == [503, 200]


def test_a_call_that_hangs_times_out_though_it_took_place(prompt: Api, state: DictState) -> None:
    state.faults.add(CREATE, FaultKind.HANG, seconds=60)
    began = time.monotonic()
    with pytest.raises(httpx.ReadTimeout):
        prompt.http.post(
            "cids/files/",
            content=b"<CreateCidSetFileRequest><Participant>12345678</Participant><KeyType>CPF</KeyType>"
            b"</CreateCidSetFileRequest>",
            headers={"Content-Type": "application/xml"},
            timeout=0.3,
        )
    assert time.monotonic() - began < 5
    assert state.files.get(1) is not None


def test_a_short_hang_is_only_late(api: Api, state: DictState, path: str) -> None:
    state.faults.add(LOOK_UP, FaultKind.HANG, seconds=0.2)
    began = time.monotonic()
    assert api.get(path).status_code == 200
    assert time.monotonic() - began >= 0.2


def test_a_connection_is_reset(api: Api, state: DictState, path: str) -> None:
    state.faults.add(LOOK_UP, FaultKind.RESET)
    with pytest.raises(httpx.ReadError):
        api.get(path)
    assert api.get(path).status_code == 200


def test_a_body_ends_too_early(api: Api, state: DictState, path: str) -> None:
    state.faults.add(LOOK_UP, FaultKind.CUT)
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete"):
        api.get(path)
    assert api.get(path).status_code == 200


def test_a_body_is_no_xml(api: Api, state: DictState, path: str) -> None:
    state.faults.add(LOOK_UP, FaultKind.GARBAGE)
    answer = api.get(path)
    assert answer.status_code == 200
    with pytest.raises(MalformedMessageError):
        parse_document(answer.content)


def test_a_look_up_answers_another_entry(api: Api, state: DictState, path: str) -> None:
    state.faults.add(LOOK_UP, FaultKind.WRONG_ENTRY)
    wrong, right = (read(GetEntryByCidResponse, api.get(path)) for _ in range(2))
    assert wrong.cid == right.cid == an_entry().cid()
    assert wrong.to_entry().cid() != wrong.cid
    assert right.to_entry() == an_entry()


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (FaultKind.FILE_ERROR, "ERROR"),
        (FaultKind.FILE_UNAVAILABLE, "UNAVAILABLE"),
        (FaultKind.FILE_NEVER_READY, "PROCESSING"),
    ],
)
def test_a_file_ends_otherwise(prompt: Api, state: DictState, clock: Clock, kind: FaultKind, status: str) -> None:
    state.faults.add(CREATE, kind)
    spoilt, good = ask(prompt), ask(prompt)
    assert spoilt.status == "REQUESTED"
    clock.turn(86_400)
    assert poll(prompt, spoilt).status == status
    assert poll(prompt, spoilt).url is None
    assert poll(prompt, good).status == "AVAILABLE"


def test_a_file_has_a_line_that_is_no_cid_and_the_hash_to_match(prompt: Api, state: DictState) -> None:
    state.bulk_create(entries(10))
    state.faults.add(CREATE, FaultKind.FILE_MALFORMED)
    made = poll(prompt, ask(prompt))
    content = download(made)
    assert made.sha256 == hashlib.sha256(content).hexdigest()
    assert sorted({len(line) for line in content.split()}) == [16, 64]


@pytest.mark.parametrize("kind", [FaultKind.FILE_ALTERED, FaultKind.FILE_LONGER, FaultKind.FILE_TRUNCATED])
def test_a_download_is_not_what_was_announced_and_the_next_one_is(
    prompt: Api, state: DictState, kind: FaultKind
) -> None:
    state.bulk_create(entries(10))
    made = poll(prompt, ask(prompt))
    state.faults.add(DOWNLOAD, kind)
    spoilt, good = download(made), download(made)
    assert (len(spoilt) == made.bytes) == (kind is FaultKind.FILE_ALTERED)
    assert hashlib.sha256(spoilt).hexdigest() != made.sha256 == hashlib.sha256(good).hexdigest()


def test_a_download_breaks_like_any_other_answer(prompt: Api, state: DictState) -> None:
    state.bulk_create(entries(100))
    made = poll(prompt, ask(prompt))
    assert made.url is not None
    state.faults.add(DOWNLOAD, FaultKind.STATUS, status=503, retry_after=1)
    assert problem(fetch(made.url)) == (503, "ServiceUnavailable")
    state.faults.add(DOWNLOAD, FaultKind.CUT)
    with pytest.raises(httpx.RemoteProtocolError):
        fetch(made.url)
    state.faults.add(DOWNLOAD, FaultKind.RESET)
    with pytest.raises(httpx.ReadError):
        fetch(made.url)
    state.faults.add(DOWNLOAD, FaultKind.GARBAGE)
    assert fetch(made.url).content.startswith(b"<!DOCTYPE")


@pytest.fixture
def logged(state: DictState, clock: Clock) -> list[bytes]:
    """Five CIDs added, one a second."""
    added = []
    for one in entries(5):
        clock.turn(1)
        added.append(state.create_entry(one))
    return added


def test_a_log_never_ends(prompt: Api, state: DictState, logged: list[bytes]) -> None:
    state.faults.add(EVENTS, FaultKind.EVENTS_NEVER_END, times=2)
    page = prompt.events()
    assert page.end_time
    again = prompt.events(StartTime=page.end_time.isoformat())
    assert page.has_more_elements
    assert again.has_more_elements
    assert again.cid_set_events == page.cid_set_events[-1:]
    assert not prompt.events().has_more_elements


@pytest.mark.parametrize("kind", [FaultKind.EVENTS_WRONG_VERIFIER, FaultKind.EVENTS_MISSING_ONE])
def test_a_page_contradicts_its_verifiers(prompt: Api, state: DictState, logged: list[bytes], kind: FaultKind) -> None:
    def holds() -> bool:
        page = prompt.events()
        assert page.sync_verifier_start
        total = page.sync_verifier_start
        for event in page.cid_set_events[1:]:
            total = xor(total, event.cid)
        return total == page.sync_verifier_end

    state.faults.add(EVENTS, kind)
    assert [holds(), holds()] == [False, True]


def test_faults_on_an_empty_log_are_harmless(prompt: Api, state: DictState) -> None:
    state.faults.add(EVENTS, FaultKind.EVENTS_WRONG_VERIFIER)
    state.faults.add(EVENTS, FaultKind.EVENTS_MISSING_ONE)
    assert [prompt.events().sync_verifier_end for _ in range(2)] == [EMPTY_VSYNC, EMPTY_VSYNC]


@pytest.mark.parametrize(
    ("operation", "kind", "details"),
    [
        (LOOK_UP, FaultKind.STATUS, {}),
        (LOOK_UP, FaultKind.HANG, {}),
        (LOOK_UP, FaultKind.RESET, {"status": 500}),
        (LOOK_UP, FaultKind.FILE_ERROR, {}),
        (CREATE, FaultKind.FILE_ALTERED, {}),
        (CREATE, FaultKind.WRONG_ENTRY, {}),
    ],
)
def test_a_fault_that_cannot_be_is_refused(
    state: DictState, operation: Operation, kind: FaultKind, details: dict[str, int]
) -> None:
    with pytest.raises(SimulatorStateError):
        state.faults.add(operation, kind, **details)  # type: ignore[arg-type]
    assert state.faults.pending(operation) == 0


def test_an_empty_bucket_uses_up_no_fault(start: Start, state: DictState, path: str, tmp_path: Path) -> None:
    api = start()
    limit = LATER.all_limits()["CIDS_ENTRIES_READ"]
    state.buckets.drain(DIRECT, "CIDS_ENTRIES_READ", limit)
    state.faults.add(LOOK_UP, FaultKind.RESET)
    assert api.get(path).status_code == 429
    assert state.faults.pending(LOOK_UP) == 1


def test_a_file_that_nobody_heard_of_was_made_all_the_same(prompt: Api, state: DictState) -> None:
    state.faults.add(CREATE, FaultKind.RESET)
    with pytest.raises(httpx.ReadError):
        prompt.post("cids/files/", CreateCidSetFileRequest(DIRECT, "CPF"))
    assert ask(prompt).id == 2
