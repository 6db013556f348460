"""Refusals, budgets and the evidence of each call, over real HTTP."""

import logging
from datetime import timedelta
from itertools import count

import pytest

from vsync_dagster.dict_api import budget, messages
from vsync_dagster.dict_api.errors import (
    DictForbiddenError,
    DictNotFoundError,
    DictRejectedError,
    DictUnavailableError,
)
from vsync_dagster.dict_api.exchange import http_client
from vsync_dagster.reconcile.errors import PermanentError
from vsync_dagster_tests.dict_api.parts import (
    AT,
    BROKEN,
    CORRELATION_ID,
    ISPB,
    RESET,
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


@pytest.mark.parametrize(
    ("status", "kind", "error_type"),
    [
        (400, "ParticipantInvalid", DictRejectedError),
        (403, "Forbidden", DictForbiddenError),
        (404, "NotFound", DictNotFoundError),
        (404, "ClaimKeyNotFound", DictRejectedError),
        (410, "Gone", DictNotFoundError),
        (410, "DeprecatedResource", DictRejectedError),
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
    # The clock ticks at the start, at the end, and for each wait for the network.
    assert lost.duration_ms > 0
    assert lost.duration_ms % 500 == 0
