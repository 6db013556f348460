"""The client against a real HTTP server that behaves as it is told."""

import dataclasses
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count

import httpx
import pytest
from lxml import etree

from vsync_dagster.dict_api import budget, messages
from vsync_dagster.dict_api.client import DictClient
from vsync_dagster.dict_api.errors import (
    DictAnswerError,
    DictForbiddenError,
    DictNotFoundError,
    DictRejectedError,
    DictUnavailableError,
)
from vsync_dagster.dict_api.exchange import Request, exchange, http_client, retry_after_seconds
from vsync_dagster.dict_api.messages import Policy
from vsync_dagster.dict_api.xml import MAX_DOCUMENT_BYTES, parse_document
from vsync_dagster.reconcile.errors import PermanentError, RefusedError, TransientError
from vsync_dagster_tests.dict_api.parts import (
    AT,
    CORRELATION_ID,
    DIRECT,
    ISPB,
    Line,
    created_file,
    entry,
    entry_answer,
    file_state,
    problem,
    verification,
    xml,
)
from vsync_dagster_tests.dict_api.server import Reply, ScriptedServer

VSYNC = bytes(range(32))
RESET = Reply(reset=True)
BROKEN = Reply(200, b"<Half")


def events_page(**changes: object) -> Reply:
    page = messages.ListCidSetEventsResponse(AT, CORRELATION_ID, False, ISPB, "CPF", AT, AT, VSYNC, VSYNC)
    return xml(dataclasses.replace(page, **changes))  # type: ignore[arg-type]


def policy_answer(name: str) -> Reply:
    return xml(messages.GetPolicyResponse(AT, CORRELATION_ID, Policy(1, 2, 3, 4, name), "A"))


def verify(client: DictClient) -> messages.CreateSyncVerificationResponse:
    return client.create_sync_verification("CPF", VSYNC)


# What is sent


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
    assert get.headers["pi-requestingparticipant"] == DIRECT
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
    assert request.headers["pi-requestingparticipant"] == DIRECT
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
    assert all(request.headers["pi-requestingparticipant"] == DIRECT for request in server.received)
    assert line.books.learnt == [first, second]


def test_a_connection_is_used_again(server: ScriptedServer, line: Line) -> None:
    server.script(verification(VSYNC), problem(503, "ServiceUnavailable"), verification(VSYNC))

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


@pytest.mark.parametrize("reply", [verification(VSYNC), problem(503, "ServiceUnavailable"), problem(400, "Gone")])
def test_an_answer_with_a_bad_signature_is_not_used(server: ScriptedServer, line: Line, reply: Reply) -> None:
    def refuse(document: etree._Element) -> None:
        raise RefusedError("not signed by DICT")

    server.script(reply)

    with pytest.raises(RefusedError, match="not signed by DICT"):
        verify(line.client(verify=refuse))
    assert [call.result for call in line.calls] == ["SIGNATURE_REFUSED"]
    assert line.calls[0].correlation_id is None


def test_a_compressed_answer_is_understood(server: ScriptedServer, line: Line) -> None:
    server.script(dataclasses.replace(verification(VSYNC), compressed=True))

    assert verify(line.client()).sync_verification.result == "OK"


# What is not believed

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


# Retries


@pytest.mark.parametrize(
    "failure",
    [
        RESET,
        dataclasses.replace(verification(VSYNC), cut=100),
        problem(500, "InternalServerError"),
        problem(503, "ServiceUnavailable"),
        problem(429, "RateLimited"),
        Reply(502, b"<html>Bad gateway</html>"),
        Reply(504),
        Reply(200, b"no gzip", {"Content-Encoding": "gzip"}),
    ],
)
def test_what_passes_by_itself_is_tried_again(server: ScriptedServer, line: Line, failure: Reply) -> None:
    server.script(failure, failure, verification(VSYNC))

    assert verify(line.client()).sync_verification.result == "OK"
    assert line.time.sleeps == [0.5, 1.0]


def test_a_truncated_gzip_body_is_tried_again(server: ScriptedServer, line: Line) -> None:
    whole = dataclasses.replace(verification(VSYNC), compressed=True)
    server.script(dataclasses.replace(whole, cut=60), whole)

    assert verify(line.client()).sync_verification.result == "OK"


def test_a_slow_answer_times_out_and_is_tried_again(server: ScriptedServer) -> None:
    server.script(Reply(delay=0.3), verification(VSYNC))
    with http_client(server.url, timeout=0.1) as http:
        line = Line(http)
        verify(line.client())

    assert [call.result for call in line.calls] == ["TIMEOUT", "OK"]


def test_an_answer_that_drips_in_forever_times_out(server: ScriptedServer, line: Line) -> None:
    server.script(Reply(200, b"x" * 400, drip=0.01), verification(VSYNC))
    clock = iter(range(1000))

    verify(line.client(call_timeout=5, clock=lambda: next(clock)))

    assert [call.result for call in line.calls] == ["TIMEOUT", "OK"]


def test_the_attempts_are_bounded_and_back_off(server: ScriptedServer, line: Line) -> None:
    server.script(*[problem(503, "ServiceUnavailable")] * 20)

    with pytest.raises(DictUnavailableError, match=r"createSyncVerification \(HTTP 503, ServiceUnavailable\)") as error:
        verify(line.client(random=lambda: 1.0))

    assert line.time.sleeps == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 30.0]
    assert len(server.received) == len(line.calls) == len(line.books.taken) == 10
    assert error.value.retry_at is None
    assert error.value.__cause__ is None
    assert isinstance(error.value, TransientError)


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_retry_after_is_obeyed(server: ScriptedServer, line: Line, status: int) -> None:
    server.script(problem(status, "Whatever", {"Retry-After": "17"}), verification(VSYNC))

    verify(line.client())

    assert line.time.sleeps == [17.0]


def test_a_retry_after_that_is_too_far_away_ends_the_call(server: ScriptedServer, line: Line) -> None:
    server.script(problem(503, "ServiceUnavailable", {"Retry-After": "3600"}))

    with pytest.raises(DictUnavailableError) as error:
        verify(line.client(max_retry_after=60))

    assert error.value.retry_at == line.time.now() + timedelta(hours=1)
    assert line.time.sleeps == []


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        ("120", 120.0),
        ("9" * 20, 365 * 86_400.0),
        ("-1", None),
        ("1e3", None),
        ("soon", None),
        ("", None),
        ("Sat, 10 Jan 2026 10:01:30 GMT", 90.0),
        ("Sat, 10 Jan 2026 09:00:00 GMT", 0.0),
        ("Sat, 10 Jan 99999999999 09:00:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(header, AT) == seconds


@pytest.mark.parametrize(
    "failure", [RESET, Reply(504), BROKEN, dataclasses.replace(created_file(), cut=10), created_file(key_type="EVP")]
)
def test_a_doubtful_cid_file_is_asked_for_three_times_at_most(
    server: ScriptedServer, line: Line, failure: Reply
) -> None:
    server.script(*[failure] * 10)

    with pytest.raises((DictUnavailableError, DictAnswerError)):
        line.client().create_cid_set_file("PHONE")

    assert len(server.received) == 3


def test_a_cid_file_that_was_surely_not_made_is_asked_for_as_often_as_anything(
    server: ScriptedServer, line: Line
) -> None:
    server.script(*[problem(503, "ServiceUnavailable")] * 4, RESET, problem(500, "X"), RESET, created_file())

    assert line.client().create_cid_set_file("PHONE").cid_set_file.id == 77


# Refusals


@pytest.mark.parametrize(
    ("status", "kind", "error_type"),
    [
        (400, "ParticipantInvalid", DictRejectedError),
        (403, "Forbidden", DictForbiddenError),
        (404, "NotFound", DictNotFoundError),
        (410, "Gone", DictRejectedError),
    ],
)
def test_a_refusal_is_raised_at_once_with_dicts_problem_type(
    server: ScriptedServer, line: Line, status: int, kind: str, error_type: type[DictRejectedError]
) -> None:
    server.script(problem(status, kind))

    with pytest.raises(DictRejectedError, match=rf"getCidSetFile: {kind} \(HTTP {status}\)") as error:
        line.client().get_cid_set_file(77, "PHONE")

    assert type(error.value) is error_type
    assert isinstance(error.value, PermanentError)
    assert (error.value.kind, error.value.status, error.value.correlation_id) == (kind, status, CORRELATION_ID)
    assert len(server.received) == 1


def test_a_404_that_is_not_dicts_is_not_taken_for_an_absent_entry(server: ScriptedServer, line: Line) -> None:
    server.script(Reply(404, b"<html><title>404</title></html>"))

    with pytest.raises(DictRejectedError) as error:
        line.client().get_entry_by_cid(VSYNC)

    assert not isinstance(error.value, DictNotFoundError)


def test_a_redirect_is_not_followed(server: ScriptedServer, line: Line) -> None:
    server.script(Reply(302, headers={"Location": server.url}))

    with pytest.raises(DictRejectedError, match="HTTP 302"):
        verify(line.client())
    assert len(server.received) == 1


def test_texts_hold_nothing_of_the_answer(server: ScriptedServer, line: Line, caplog: pytest.LogCaptureFixture) -> None:
    document = (
        b'<problem xmlns="urn:ietf:rfc:7807"><type>x/11122233300 secret</type><title>11122233300</title>'
        b"<status>400</status><detail>key 11122233300</detail>"
        b"<correlationId>11122233300 secret</correlationId></problem>"
    )
    server.script(Reply(400, document), Reply(500, document))

    with caplog.at_level(logging.DEBUG, logger="vsync_dagster"):
        for attempts in (1, 1):
            with pytest.raises((DictRejectedError, DictUnavailableError)) as error:
                verify(line.client(attempts=attempts))
            assert "11122233300" not in str(error.value)

    assert "11122233300" not in repr(line.calls)
    assert "11122233300" not in caplog.text


# Budget and evidence


def test_each_operation_spends_from_its_own_budget(server: ScriptedServer, line: Line) -> None:
    held = entry(1)
    server.script(
        verification(VSYNC),
        created_file(),
        file_state(),
        events_page(),
        entry_answer(held),
        xml(messages.ListPoliciesResponse(AT, CORRELATION_ID, (), "H")),
        policy_answer("CIDS_FILES_READ"),
    )
    client = line.client()
    verify(client)
    client.create_cid_set_file("PHONE")
    client.get_cid_set_file(77, "PHONE")
    client.list_cid_set_events("CPF", AT)
    client.get_entry_by_cid(held.cid())
    client.list_policies()
    client.get_policy("CIDS_FILES_READ")

    assert line.books.taken == [
        budget.SYNC_VERIFICATIONS_WRITE,
        budget.CIDS_FILES_WRITE,
        budget.CIDS_FILES_READ,
        budget.CIDS_EVENTS_LIST,
        budget.CIDS_ENTRIES_READ,
        budget.POLICIES_LIST,
        budget.POLICIES_READ,
    ]
    assert [(call.operation, call.key_type, call.reference, call.result) for call in line.calls] == [
        ("createSyncVerification", "CPF", "1234", "OK"),
        ("createCidSetFile", "PHONE", "77", "REQUESTED"),
        ("getCidSetFile", "PHONE", "77", "AVAILABLE"),
        ("listCidSetEvents", "CPF", None, "0 events"),
        ("getEntryByCid", None, None, "FOUND"),
        ("bucketStates", None, None, "0 policies"),
        ("getPolicy", None, None, "CIDS_FILES_READ"),
    ]


@pytest.mark.parametrize(
    ("reply", "refunds"),
    [
        (problem(500, "InternalServerError"), 1),
        (problem(503, "ServiceUnavailable"), 0),
        (problem(429, "RateLimited"), 0),
        (Reply(502), 0),
        (BROKEN, 0),
        (RESET, 0),
    ],
)
def test_only_a_500_costs_no_token(server: ScriptedServer, line: Line, reply: Reply, refunds: int) -> None:
    server.script(reply, verification(VSYNC))

    verify(line.client())

    assert line.books.taken == [budget.SYNC_VERIFICATIONS_WRITE] * 2
    assert line.books.refunded == [budget.SYNC_VERIFICATIONS_WRITE] * refunds


def test_a_server_that_is_not_there_costs_nothing() -> None:
    with http_client("http://127.0.0.1:9/api/v2/", timeout=1) as http:
        line = Line(http)
        with pytest.raises(DictUnavailableError, match="NO_CONNECTION"):
            line.client(attempts=2).create_cid_set_file("PHONE")

    assert line.books.refunded == line.books.taken == [budget.CIDS_FILES_WRITE] * 2
    assert [(call.result, call.http_status) for call in line.calls] == [("NO_CONNECTION", None)] * 2


def test_a_429_empties_the_bucket(server: ScriptedServer, line: Line) -> None:
    server.script(problem(429, "RateLimited"), verification(VSYNC))

    verify(line.client())

    assert line.books.emptied == [budget.SYNC_VERIFICATIONS_WRITE]
    assert line.books.refunded == []


def test_every_attempt_leaves_its_evidence(server: ScriptedServer, line: Line) -> None:
    server.script(problem(503, "ServiceUnavailable"), RESET, verification(VSYNC, "NOK"))
    ticks = count(step=0.5)

    verify(line.client(clock=lambda: next(ticks)))

    refused, lost, answered = line.calls
    assert (refused.http_status, refused.result, refused.correlation_id) == (503, "ServiceUnavailable", CORRELATION_ID)
    assert (refused.response_time, refused.reference) == (None, None)
    assert (lost.http_status, lost.result, lost.correlation_id) == (None, "CONNECTION_LOST", None)
    assert (answered.http_status, answered.result, answered.reference) == (201, "NOK", "1234")
    assert (answered.correlation_id, answered.response_time) == (CORRELATION_ID, AT)
    assert {call.participant for call in line.calls} == {ISPB}
    assert [call.called_at for call in line.calls] == [AT, AT + timedelta(seconds=0.5), AT + timedelta(seconds=1.5)]
    # The clock ticks at the start, for the deadline, and at the end.
    assert lost.duration_ms == 1000


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
