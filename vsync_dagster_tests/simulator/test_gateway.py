"""What stands in front of the simulated DICT, and its file host: the rules that a real client meets before DICT."""

import re
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit

import httpx
import pytest

from vsync_dagster.dict_api.messages import (
    CreateCidSetFileRequest,
    CreateCidSetFileResponse,
    GetCidSetFileResponse,
    Problem,
)
from vsync_dagster.dict_api.xml import parse_document, serialize, to_xml
from vsync_dagster.simulator.gateway import has_port
from vsync_dagster.simulator.operations import Operation
from vsync_dagster.simulator.server import running_simulator
from vsync_dagster.simulator.settings import Settings
from vsync_dagster.simulator.state import DictState
from vsync_dagster_tests.simulator.conftest import Start
from vsync_dagster_tests.simulator.parts import BARE_HOST, DIRECT, HEADER, INDIRECT, OTHER, Api, Clock, entries, read
from vsync_dagster_tests.simulator.test_identity import tls
from vsync_dagster_tests.world import certificates

PROMPT = Settings(file_delay=timedelta(0))
UNLISTED = ["traceparent", "tracestate", "baggage", "X-Forwarded-For", "X-Request-ID", "Authorization"]


@pytest.mark.parametrize("name", UNLISTED)
def test_a_header_that_is_not_listed_is_refused_without_a_signature(api: Api, state: DictState, name: str) -> None:
    answer = api.http.get("policies/", headers={HEADER: DIRECT, name: "a"})

    assert answer.status_code == 400
    document = parse_document(answer.content)
    assert Problem.from_xml(document).kind == "invalidHeader"
    assert not document.findall(".//{*}Signature")
    assert state.calls.total(Operation.LIST_POLICIES) == 0


def test_a_host_with_a_port_gets_no_answer(api: Api, state: DictState) -> None:
    with pytest.raises(httpx.ReadError):
        api.http.get("policies/", headers={HEADER: DIRECT, "Host": api.http.base_url.netloc.decode()})
    assert state.calls.total(Operation.LIST_POLICIES) == 0
    assert api.get("policies/").status_code == 200


@pytest.mark.parametrize(
    ("host", "found"),
    [("a", False), ("a:1", True), ("a:", True), ("[::1]", False), ("[::1]:1", True), ("", False)],
)
def test_a_port_is_found_in_a_host(host: str, found: bool) -> None:
    assert has_port(host) is found


def test_the_gateway_can_be_left_out(start: Start) -> None:
    api = start(Settings(strict_headers=False))
    headers = {HEADER: DIRECT, "Host": api.http.base_url.netloc.decode(), "traceparent": "a"}
    assert api.http.get("policies/", headers=headers).status_code == 200


def test_how_long_a_connection_is_kept_is_announced(api: Api) -> None:
    assert re.fullmatch("timeout=[0-9]+", api.get("policies/").headers["Keep-Alive"])


# Files


@pytest.fixture
def url(state: DictState) -> Iterator[str]:
    with running_simulator(state, PROMPT, certificates()) as running:
        yield running


def made(http: httpx.Client, participant: str) -> str:
    """Ask for a participant's file, and return its URL."""
    document = to_xml(CreateCidSetFileRequest(participant, "CPF"))
    certificates().participant_signing(DIRECT).signer()(document)
    headers = {HEADER: DIRECT, "Content-Type": "application/xml"}
    asked = read(CreateCidSetFileResponse, http.post("cids/files/", content=serialize(document), headers=headers), 201)
    found = http.get(f"cids/files/{asked.cid_set_file.id}", headers=headers)
    return str(read(GetCidSetFileResponse, found).cid_set_file.url)


@pytest.mark.parametrize("participant", [DIRECT, INDIRECT])
def test_a_file_has_the_url_that_dicts_have(state: DictState, url: str, participant: str) -> None:
    """On a port of its own, below the ISPB of the direct participant, with colons."""
    people = entries(3, ispb=participant)
    state.bulk_create(people)
    with httpx.Client(base_url=url, headers=BARE_HOST, verify=tls(DIRECT)) as http:
        there = made(http, participant)
        path = urlsplit(there).path
        answer = http.get(there)
        assert http.get(urlsplit(url)._replace(path=path).geturl()).status_code == 404, "the API serves no files"
        assert http.get(there.replace(path, "/api/v2/policies/")).status_code == 404, "and the file host nothing else"

    assert urlsplit(there).port != urlsplit(url).port
    name = f"{participant}_CPF_1_2026-03-02T15:00:00.000Z.txt"
    assert path == f"/api/v1/download/{DIRECT}/cidsetfile/{name}"
    assert sorted(answer.text.split()) == sorted(one.cid().hex() for one in people)


@pytest.mark.parametrize("ispb", [OTHER, INDIRECT])
def test_a_file_is_given_to_the_certificate_of_its_path_only(state: DictState, url: str, ispb: str) -> None:
    with httpx.Client(base_url=url, headers=BARE_HOST, verify=tls(DIRECT)) as http:
        there = made(http, INDIRECT)
    with httpx.Client(headers=BARE_HOST, verify=tls(ispb)) as stranger:
        assert stranger.get(there).status_code == 403
        own = there.replace(f"/{DIRECT}/cidsetfile", f"/{ispb}/cidsetfile")
        assert stranger.get(own).status_code == 404, "the path has to be the file's"
    assert state.calls.total(Operation.DOWNLOAD_CID_SET_FILE, status=200) == 0


def test_a_file_is_there_for_a_day(start: Start, clock: Clock) -> None:
    api = start(PROMPT)
    asked = read(CreateCidSetFileResponse, api.post("cids/files/", CreateCidSetFileRequest(DIRECT, "CPF")), 201)
    there = str(read(GetCidSetFileResponse, api.get(f"cids/files/{asked.cid_set_file.id}")).cid_set_file.url)

    clock.turn(86_400)
    assert api.http.get(there).status_code == 200
    clock.turn(0.001)
    assert api.http.get(there).status_code == 404
