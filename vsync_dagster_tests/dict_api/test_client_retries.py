"""What the client tries again, and how often, over real HTTP."""

import dataclasses
from datetime import timedelta

import pytest

from vsync_dagster.dict_api.errors import (
    DictAnswerError,
    DictUnavailableError,
)
from vsync_dagster.dict_api.exchange import http_client, retry_after_seconds
from vsync_dagster.reconcile.errors import TransientError
from vsync_dagster_tests.dict_api.parts import (
    AT,
    BROKEN,
    RESET,
    VSYNC,
    Line,
    created_file,
    problem,
    verification,
    verify,
)
from vsync_dagster_tests.dict_api.server import Reply, ScriptedServer


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
    server.script(Reply(delay=1.2), verification(VSYNC))
    with http_client(server.url, timeout=0.5) as http:
        line = Line(http)
        verify(line.client())

    assert [call.result for call in line.calls] == ["TIMEOUT", "OK"]


def test_an_answer_that_drips_in_forever_times_out(server: ScriptedServer, line: Line) -> None:
    server.script(Reply(200, b"x" * 400, drip=0.01), verification(VSYNC))
    clock = iter(range(1000))

    verify(line.client(call_timeout=50, clock=lambda: next(clock)))

    assert [call.result for call in line.calls] == ["TIMEOUT", "OK"]


def test_the_attempts_are_bounded_and_back_off(server: ScriptedServer, line: Line) -> None:
    server.script(*[problem(503, "ServiceUnavailable")] * 20)

    with pytest.raises(
        DictUnavailableError, match=r"createSyncVerification of CPF \(HTTP 503, ServiceUnavailable\)"
    ) as error:
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
    "failure",
    [
        RESET,
        problem(500, "InternalServerError"),
        Reply(503),
        Reply(504),
        BROKEN,
        dataclasses.replace(created_file(), cut=10),
        created_file(key_type="EVP"),
    ],
)
def test_a_doubtful_cid_file_is_asked_for_once_more_after_a_pause(
    server: ScriptedServer, line: Line, failure: Reply
) -> None:
    server.script(*[failure] * 10)

    with pytest.raises((DictUnavailableError, DictAnswerError)):
        line.client().create_cid_set_file("PHONE")

    assert len(server.received) == 2
    assert line.time.sleeps == [30.0]
    assert line.books.refunded == [], "each may be one of 40 a day"


def test_a_cid_file_that_was_surely_not_made_is_asked_for_as_often_as_anything(
    server: ScriptedServer, line: Line
) -> None:
    server.script(*[problem(503, "ServiceUnavailable")] * 4, RESET, problem(429, "RateLimited"), created_file())

    assert line.client().create_cid_set_file("PHONE").cid_set_file.id == 77
