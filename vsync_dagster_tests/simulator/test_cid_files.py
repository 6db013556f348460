"""CID set files: their life, their content, their download."""

import hashlib
import threading
from datetime import timedelta

import pytest

from vsync_dagster.dict_api.messages import (
    CidSetFile,
    CreateCidSetFileRequest,
    CreateCidSetFileResponse,
    GetCidSetFileResponse,
)
from vsync_dagster.reconcile.entry import Entry
from vsync_dagster.simulator.cid_files import FileOutcome
from vsync_dagster.simulator.operations import Operation
from vsync_dagster.simulator.settings import Settings
from vsync_dagster.simulator.state import DictState
from vsync_dagster_tests.simulator.conftest import Start
from vsync_dagster_tests.simulator.parts import DIRECT, INDIRECT, NOON, OTHER, Api, Clock, entries, fetch, problem, read


def ask(api: Api, key_type: str = "CPF", participant: str = DIRECT) -> CidSetFile:
    answer = api.post("cids/files/", CreateCidSetFileRequest(participant, key_type))
    return read(CreateCidSetFileResponse, answer, 201).cid_set_file


def poll(api: Api, file: CidSetFile) -> CidSetFile:
    return read(GetCidSetFileResponse, api.get(f"cids/files/{file.id}")).cid_set_file


def download(file: CidSetFile) -> bytes:
    assert file.url is not None
    answer = fetch(file.url)
    assert answer.status_code == 200
    return answer.content


def lines(people: list[Entry]) -> list[str]:
    return sorted(one.cid().hex() for one in people)


def test_a_file_is_requested_then_processed_then_available(api: Api, state: DictState, clock: Clock) -> None:
    people = entries(100)
    state.bulk_create(people)
    asked = ask(api)
    assert (asked.status, asked.request_time, asked.url) == ("REQUESTED", NOON, None)
    assert poll(api, asked).status == "REQUESTED"
    clock.turn(1)
    assert poll(api, asked).status == "PROCESSING"
    clock.turn(1)
    made = poll(api, asked)
    assert (made.status, made.creation_time) == ("AVAILABLE", NOON + timedelta(seconds=2))
    content = download(made)
    assert (made.bytes, made.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert content.endswith(b"\n")
    found = content.decode("ascii").removesuffix("\n").split("\n")
    assert sorted(found) == lines(people)
    assert found not in ([one.cid().hex() for one in people], sorted(found))
    assert poll(api, asked) == made
    assert state.calls.total(Operation.DOWNLOAD_CID_SET_FILE, status=200) == 1


def test_a_file_is_the_set_at_its_creation_time_however_late_it_is_polled(
    api: Api, state: DictState, clock: Clock
) -> None:
    before, between, after = entries(10), entries(10, seed=2), entries(10, seed=3)
    state.bulk_create(before)
    asked = ask(api)
    clock.turn(1.5)
    for one in between:
        state.create_entry(one)
    state.delete_entry(before[0].key)
    clock.turn(1)
    for one in after:
        state.create_entry(one)
    state.delete_entry(before[1].key)
    old, _ = state.update_entry(before[2].key, account_number="1")
    clock.turn(3_600)
    found = download(poll(api, asked)).decode().split()
    assert sorted(found) == lines(before[1:] + between)
    assert old.hex() in found


def test_a_large_file_is_whole(api: Api, state: DictState, clock: Clock) -> None:
    people = entries(70_000)
    state.bulk_create(people)
    asked = ask(api)
    clock.turn(2)
    assert sorted(download(poll(api, asked)).decode().split()) == lines(people)


def test_an_empty_set_is_an_empty_file(start: Start) -> None:
    api = start(Settings(file_delay=timedelta(0)))
    made = poll(api, ask(api, "EVP"))
    assert (made.status, made.bytes, made.sha256) == ("AVAILABLE", 0, hashlib.sha256(b"").hexdigest())
    assert download(made) == b""


def test_a_file_expires_and_can_be_given_another_ending(start: Start, state: DictState, clock: Clock) -> None:
    api = start(Settings(file_lifetime=timedelta(hours=1)))
    first, second = ask(api), ask(api)
    clock.turn(3_602)
    made = poll(api, first)
    assert made.status == "AVAILABLE"
    state.files.finish(second.id, FileOutcome.ERROR)
    assert (poll(api, second).status, poll(api, second).url) == ("ERROR", None)
    clock.turn(0.001)
    assert poll(api, first).status == "UNAVAILABLE"
    assert made.url is not None
    assert problem(fetch(made.url)) == (404, "NotFound")


def test_the_download_base_can_be_another(start: Start, clock: Clock) -> None:
    api = start(Settings(file_delay=timedelta(0), download_base="https://files.example:8443/arq/"))
    url = poll(api, ask(api)).url
    assert url is not None
    assert url.startswith("https://files.example:8443/arq/api/v1/download/12345678/cidsetfile/12345678_CPF_")


def test_files_are_their_participants_own(api: Api) -> None:
    asked = ask(api, participant=INDIRECT)
    assert Api(api.http, INDIRECT).get(f"cids/files/{asked.id}").status_code == 200
    assert poll(api, asked).participant == INDIRECT
    assert problem(Api(api.http, OTHER).get(f"cids/files/{asked.id}")) == (403, "Forbidden")
    assert problem(api.get(f"cids/files/{asked.id + 1}")) == (404, "NotFound")
    assert problem(api.get("cids/files/x")) == (400, "BadRequest")
    assert problem(api.post("cids/files/", CreateCidSetFileRequest(DIRECT, "FAX"))) == (400, "BadRequest")


def test_polls_at_once_get_the_same_file(start: Start, state: DictState) -> None:
    api = start(Settings(file_delay=timedelta(0)))
    state.bulk_create(entries(20_000))
    asked, found = ask(api), []
    threads = [threading.Thread(target=lambda: found.append(poll(api, asked))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert hashlib.sha256(download(found[0])).hexdigest() == found[0].sha256


@pytest.mark.parametrize("compressed", [True, False])
def test_a_download_is_compressed_for_those_who_ask(start: Start, state: DictState, compressed: bool) -> None:
    api = start(Settings(file_delay=timedelta(0), compressed_files=compressed))
    state.bulk_create(entries(5_000))
    url = poll(api, ask(api)).url
    assert url is not None
    plain, packed = (fetch(url, **{"Accept-Encoding": one}) for one in ("identity", "gzip"))
    assert packed.headers.get("Content-Encoding") == ("gzip" if compressed else None)
    assert "Content-Encoding" not in plain.headers
    assert plain.content == packed.content
