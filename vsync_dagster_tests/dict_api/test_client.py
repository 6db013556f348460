"""What the client sends, and what it accepts, over real HTTP."""

import dataclasses
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from lxml import etree

from vsync_dagster.dict_api import budget, messages
from vsync_dagster.dict_api.client import DictClient
from vsync_dagster.dict_api.errors import (
    DictAnswerError,
    DictNotFoundError,
    DictRejectedError,
    DictUnavailableError,
)
from vsync_dagster.dict_api.exchange import Request, exchange, http_client
from vsync_dagster.dict_api.messages import Policy
from vsync_dagster.dict_api.xml import MAX_DOCUMENT_BYTES, parse_document, serialize
from vsync_dagster.reconcile.errors import PermanentError, RefusedError, TransientError
from vsync_dagster_tests.dict_api.parts import (
    AT,
    BROKEN,
    CORRELATION_ID,
    ISPB,
    VSYNC,
    Line,
    created_file,
    entry,
    entry_answer,
    events_page,
    file_state,
    policy_answer,
    problem,
    verification,
    verify,
    xml,
)
from vsync_dagster_tests.dict_api.server import Reply, ScriptedServer


def test_a_sync_verification_is_posted_as_documented(server: ScriptedServer, line: Line) -> None:
    server.script(verification(VSYNC, "NOK"))

    answer = verify(line.client())

    (request,) = server.received
    assert (request.method, request.path) == ("POST", "/api/v2/sync-verifications/")
    assert request.headers["content-type"] == "application/xml"
    assert request.headers["accept-encoding"] == "gzip"
    assert "content-encoding" not in request.headers
    assert parse_document(request.body).findtext("SyncVerification/ParticipantSyncVerifier") == VSYNC.hex()
    assert (answer.sync_verification.id, answer.sync_verification.result) == (1234, "NOK")
    assert answer.response_time == AT


def test_a_cid_file_is_asked_for_and_looked_at(server: ScriptedServer, line: Line) -> None:
    server.script(created_file(), file_state("PROCESSING"))
    client = line.client()

    created = client.create_cid_set_file("PHONE")
    state = client.get_cid_set_file(created.cid_set_file.id, "PHONE")

    post, get = server.received
    assert (post.method, post.path) == ("POST", "/api/v2/cids/files/")
    assert parse_document(post.body).findtext("KeyType") == "PHONE"
    assert (get.method, get.path, get.body) == ("GET", "/api/v2/cids/files/77", b"")
    assert get.headers["pi-requestingparticipant"] == ISPB
    assert state.cid_set_file.status == "PROCESSING"


def test_events_are_listed_as_documented(server: ScriptedServer, line: Line) -> None:
    server.script(events_page(), events_page())
    client = line.client()

    client.list_cid_set_events("CPF", AT, AT + timedelta(hours=1, microseconds=1500))
    client.list_cid_set_events("CPF", None, limit=7)

    bounded, unbounded = server.received
    assert (bounded.method, bounded.path) == ("GET", "/api/v2/cids/events")
    assert bounded.query == {
        "Participant": ISPB,
        "KeyType": "CPF",
        "StartTime": "2026-01-10T10:00:00.000Z",
        "EndTime": "2026-01-10T11:00:00.001Z",
        "Limit": "200",
    }
    assert unbounded.query == {"Participant": ISPB, "KeyType": "CPF", "Limit": "7"}


def test_an_entry_is_read_by_its_cid(server: ScriptedServer, line: Line) -> None:
    held = entry(1)
    server.script(entry_answer(held))

    answer = line.client().get_entry_by_cid(held.cid())

    (request,) = server.received
    assert request.path == f"/api/v2/cids/entries/{held.cid().hex()}"
    assert request.headers["pi-requestingparticipant"] == ISPB
    assert answer.to_entry() == held


def test_policies_are_read_and_the_budget_learns_them(server: ScriptedServer, line: Line) -> None:
    first, second = Policy(1, 2, 3, 4, "CIDS_EVENTS_LIST"), Policy(1, 2, 3, 4, "CIDS_FILES_READ")
    server.script(
        xml(messages.ListPoliciesResponse(AT, CORRELATION_ID, (first,), "H")), policy_answer("CIDS_FILES_READ")
    )
    client = line.client()

    assert client.list_policies().category == "H"
    client.get_policy("CIDS_FILES_READ")

    assert [request.path for request in server.received] == ["/api/v2/policies/", "/api/v2/policies/CIDS_FILES_READ"]
    assert all(request.headers["pi-requestingparticipant"] == ISPB for request in server.received)
    assert line.books.learnt == [first, second]


def test_a_connection_is_used_again(server: ScriptedServer, line: Line) -> None:
    server.script(verification(VSYNC), problem(500, "InternalServerError"), verification(VSYNC))

    verify(line.client())
    verify(line.client())

    assert len({request.connection for request in server.received}) == 1


def test_requests_are_signed_and_answers_verified(server: ScriptedServer, line: Line) -> None:
    def sign(document: etree._Element) -> etree._Element:
        document.insert(0, etree.Element("Signature"))
        return document

    verified: list[str] = []
    server.script(problem(503, "ServiceUnavailable"), verification(VSYNC))

    verify(line.client(sign=sign, verify=lambda document: verified.append(etree.QName(document).localname)))

    assert all(parse_document(request.body)[0].tag == "Signature" for request in server.received)
    assert verified == ["problem", "CreateSyncVerificationResponse"]


def refuse(document: etree._Element) -> None:
    """Accept no signature."""
    raise RefusedError("not signed by DICT")


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_problem_with_a_bad_signature_proves_nothing(server: ScriptedServer, line: Line, status: int) -> None:
    server.script(problem(status, {403: "Forbidden", 404: "NotFound", 410: "Gone"}[status]))

    with pytest.raises(DictRejectedError, match="no problem document that DICT signed") as error:
        line.client(verify=refuse).get_entry_by_cid(VSYNC)

    assert type(error.value) is DictRejectedError
    assert [(call.result, call.correlation_id) for call in line.calls] == [("SIGNATURE_REFUSED", None)]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_status_that_nobody_signed_is_tried_again_and_changes_no_budget(
    server: ScriptedServer, line: Line, status: int
) -> None:
    server.script(problem(status, "RateLimited"), Reply(status, b"<html>gateway</html>"), problem(status, "X"))

    with pytest.raises(DictUnavailableError, match=f"HTTP {status}, no problem document that DICT signed"):
        verify(line.client(attempts=3, verify=refuse))

    assert len(server.received) == 3
    assert (line.books.refunded, line.books.emptied) == ([], [])


@pytest.mark.parametrize("status", [404, 429, 500])
def test_a_signed_problem_of_another_status_does_not_count(server: ScriptedServer, line: Line, status: int) -> None:
    reply = dataclasses.replace(problem(410, "Gone"), status=status)
    server.script(reply)

    with pytest.raises(
        (DictRejectedError, DictUnavailableError), match="no problem document that DICT signed"
    ) as error:
        line.client(attempts=1).get_entry_by_cid(VSYNC)

    assert not isinstance(error.value, DictNotFoundError)
    assert (line.books.refunded, line.books.emptied) == ([], [])
    assert [call.result for call in line.calls] == ["STATUS_CONTRADICTED"]


def test_a_problem_without_status_or_correlation_id_is_understood(server: ScriptedServer, line: Line) -> None:
    server.script(Reply(404, serialize(messages.Problem("NotFound", None, "Not found").to_xml())))

    with pytest.raises(DictNotFoundError) as error:
        line.client().get_entry_by_cid(VSYNC)

    assert error.value.correlation_id is None


def test_a_verification_without_time_or_correlation_id_is_understood(server: ScriptedServer, line: Line) -> None:
    whole = verification(VSYNC).body
    bare = re.sub(rb"<(ResponseTime|CorrelationId)>[^<]*</\1>", b"", whole)
    assert bare != whole
    server.script(Reply(201, bare))

    assert verify(line.client()).sync_verification.result == "OK"


def test_a_signed_problem_does_not_pass_for_the_answer_to_another_call(server: ScriptedServer, line: Line) -> None:
    server.script(*[problem(404, "NotFound")] * 3)
    client = line.client()
    for _ in range(2):
        with pytest.raises(DictNotFoundError):
            client.get_entry_by_cid(VSYNC)

    with pytest.raises(DictRejectedError) as error:
        client.get_entry_by_cid(bytes(32))

    assert type(error.value) is DictRejectedError
    assert line.calls[-1].result == "REPLAYED"


def test_a_resource_conflict_is_tried_again(server: ScriptedServer, line: Line) -> None:
    server.script(problem(409, "ResourceConflict"), verification(VSYNC))

    assert verify(line.client()).sync_verification.result == "OK"
    assert line.time.sleeps == [0.5]


@pytest.mark.parametrize("reply", [verification(VSYNC)])
def test_an_answer_with_a_bad_signature_is_not_used(server: ScriptedServer, line: Line, reply: Reply) -> None:
    server.script(reply)

    with pytest.raises(RefusedError, match="not signed by DICT"):
        verify(line.client(verify=refuse))
    assert [call.result for call in line.calls] == ["SIGNATURE_REFUSED"]
    assert line.calls[0].correlation_id is None


def test_a_compressed_answer_is_understood(server: ScriptedServer, line: Line) -> None:
    server.script(dataclasses.replace(verification(VSYNC), compressed=True))

    assert verify(line.client()).sync_verification.result == "OK"


WRONG: dict[str, tuple[Reply, Callable[[DictClient], object]]] = {
    "participant": (verification(VSYNC, participant="99999999"), verify),
    "key type": (verification(VSYNC, key_type="CNPJ"), verify),
    "vsync": (verification(bytes(32)), verify),
    "result": (verification(VSYNC, "MAYBE"), verify),
    "no result": (verification(VSYNC, None), verify),
    "no id": (verification(VSYNC, id=None), verify),
    "message": (created_file(), verify),
    "message of the same form": (created_file(), lambda c: c.get_cid_set_file(77, "PHONE")),
    "created file's participant": (created_file(participant="99999999"), lambda c: c.create_cid_set_file("PHONE")),
    "created file's key type": (created_file(), lambda c: c.create_cid_set_file("CPF")),
    "file's id": (file_state(id=78), lambda c: c.get_cid_set_file(77, "PHONE")),
    "file's participant": (file_state(participant="99999999"), lambda c: c.get_cid_set_file(77, "PHONE")),
    "file's key type": (file_state(key_type="CPF"), lambda c: c.get_cid_set_file(77, "PHONE")),
    "events' participant": (events_page(participant="99999999"), lambda c: c.list_cid_set_events("CPF", AT)),
    "events' key type": (events_page(key_type="EVP"), lambda c: c.list_cid_set_events("CPF", AT)),
    "cid": (entry_answer(entry(1)), lambda c: c.get_entry_by_cid(entry(2).cid())),
    "policy": (policy_answer("CIDS_FILES_READ"), lambda c: c.get_policy("CIDS_EVENTS_LIST")),
    "no document": (Reply(201, b"OK"), verify),
    "nothing": (Reply(204), verify),
    "half": (BROKEN, verify),
    "too large": (Reply(200, b"<a>" + b" " * (2 << 20) + b"</a>", compressed=True), verify),
    "strange encoding": (dataclasses.replace(verification(VSYNC), headers={"Content-Encoding": "br"}), verify),
}


@pytest.mark.parametrize("what", WRONG)
def test_an_answer_to_something_else_is_refused(server: ScriptedServer, line: Line, what: str) -> None:
    reply, call = WRONG[what]
    server.script(reply, reply)

    with pytest.raises(DictAnswerError) as error:
        call(line.client(attempts=2))

    assert len(server.received) == 2
    assert [call.result for call in line.calls] == ["MALFORMED"] * 2
    assert isinstance(error.value, TransientError)
    assert error.value.__cause__ is None
    assert "11122233300" not in str(error.value)


def test_a_body_that_is_too_large_is_not_even_held(server: ScriptedServer, line: Line) -> None:
    server.script(Reply(200, b"x" * MAX_DOCUMENT_BYTES), Reply(200, b"x" * (MAX_DOCUMENT_BYTES + 1), compressed=True))
    request = Request("listCidSetEvents", budget.CIDS_EVENTS_LIST, "GET", "cids/events")

    sizes = [len(exchange(line.http, request, line.time.clock, 5).body) for _ in range(2)]

    assert sizes == [MAX_DOCUMENT_BYTES, 0]


def test_a_malformed_answer_is_asked_for_again(server: ScriptedServer, line: Line) -> None:
    server.script(BROKEN, verification(bytes(32)), verification(VSYNC))

    assert verify(line.client()).sync_verification.result == "OK"


@pytest.mark.parametrize(
    "base_url",
    [
        "",
        "dict.example.org",
        "ftp://host/api/v2/",
        "https://",
        "https:///api",
        "http://host/?a=b",
        "http://host:x/",
        "\x00",
    ],
)
def test_a_base_url_that_is_none_is_refused_by_the_variables_name(base_url: str) -> None:
    with pytest.raises(PermanentError, match=r"^VSYNC_DICT_URL is malformed; .*16522") as error:
        http_client(base_url)
    assert error.value.__suppress_context__ or error.value.__context__ is None


def test_the_client_is_configured_as_documented() -> None:
    with http_client("https://host:16522/api/v2") as http:
        assert http.timeout == httpx.Timeout(30.0)
        assert not http.follow_redirects
        assert not http.trust_env
        assert http.base_url == "https://host:16522/api/v2/"


def test_a_time_is_sent_in_utc(server: ScriptedServer, line: Line) -> None:
    server.script(events_page())

    line.client().list_cid_set_events("CPF", datetime(2026, 1, 10, 10, tzinfo=UTC))

    assert server.received[0].query["StartTime"] == "2026-01-10T10:00:00.000Z"
