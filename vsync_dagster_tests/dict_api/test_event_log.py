"""Reading the event log from a server that keeps one as DICT does, and from servers that do not."""

import dataclasses
import hashlib
import random
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsync_dagster.dict_api.errors import DictAnswerError, EventLogError, LogTooLongError
from vsync_dagster.dict_api.event_log import EventLog, read_events
from vsync_dagster.dict_api.exchange import http_client
from vsync_dagster.dict_api.messages import CidSetEvent, ListCidSetEventsResponse
from vsync_dagster.reconcile.errors import RefusedError
from vsync_dagster.reconcile.vsync import EMPTY_VSYNC, vsync, xor
from vsync_dagster_tests.dict_api.parts import AT, CORRELATION_ID, ISPB, Line, xml
from vsync_dagster_tests.dict_api.server import Received, Reply, ScriptedServer, scripted_server

BASE = bytes([0xEE] * 32)


def event(number: int, milliseconds: int, kind: str = "ADDED") -> CidSetEvent:
    return CidSetEvent(kind, hashlib.sha256(number.to_bytes(2)).digest(), AT + timedelta(milliseconds=milliseconds))


def verifier_after(events: Sequence[CidSetEvent], base: bytes = BASE) -> bytes:
    for past in events:
        base = xor(base, past.cid)
    return base


def page(events: Sequence[CidSetEvent], more: bool = False, base: bytes = BASE, **changes: object) -> Reply:
    """A page whose first event changed DICT's VSync from `base`."""
    message = ListCidSetEventsResponse(
        response_time=AT + timedelta(hours=1),
        correlation_id=CORRELATION_ID,
        has_more_elements=more,
        participant=ISPB,
        key_type="CPF",
        start_time=events[0].timestamp if events else AT,
        end_time=events[-1].timestamp if events else AT,
        sync_verifier_start=verifier_after(events[:1], base),
        sync_verifier_end=verifier_after(events, base),
        cid_set_events=tuple(events),
    )
    return xml(dataclasses.replace(message, **changes))  # type: ignore[arg-type]


def dict_log(
    log: Sequence[CidSetEvent], shuffle_ties: Callable[[], float] | None = None
) -> Callable[[Received], Reply]:
    """A server's whole log; the order of events in one millisecond may differ with every request."""

    def answer(request: Received) -> Reply:
        ordered = sorted(log, key=lambda e: (e.timestamp, shuffle_ties() if shuffle_ties else 0.0))
        start = datetime.fromisoformat(request.query["StartTime"])
        later = [e for e in ordered if e.timestamp >= start]
        shown = later[: int(request.query["Limit"])]
        base = verifier_after([e for e in ordered if e.timestamp < start])
        return page(shown, len(shown) < len(later), base)

    return answer


def read(line: Line, page_limit: int = 200, max_pages: int = 100) -> EventLog:
    return read_events(line.client(attempts=1), "CPF", AT, page_limit, max_pages)


LOG = [event(n, n * 10) for n in range(1, 8)]


def test_an_empty_log_tells_no_verifier(server: ScriptedServer, line: Line) -> None:
    server.script(page([]))

    assert read(line) == EventLog((), None, None, AT + timedelta(hours=1))


def test_an_empty_page_may_lack_what_speaks_of_events(server: ScriptedServer, line: Line) -> None:
    server.script(page([], start_time=None, end_time=None, sync_verifier_start=None, sync_verifier_end=None))

    assert read(line).events == ()


def test_a_page_of_events_without_verifiers_is_refused(server: ScriptedServer, line: Line) -> None:
    server.script(page(LOG, sync_verifier_end=None))

    refused(line, "lacks its SyncVerifiers")


@pytest.mark.parametrize("page_limit", [2, 3, 4, 6, 7, 8, 200])
def test_pages_are_joined_without_repeating_their_edges(server: ScriptedServer, line: Line, page_limit: int) -> None:
    server.answer = dict_log(LOG)

    log = read(line, page_limit)

    assert log.events == tuple(LOG)
    assert (log.verifier_before, log.verifier_end) == (BASE, verifier_after(LOG))


def test_the_verifier_before_is_that_of_the_start_not_of_the_logs_beginning(server: ScriptedServer, line: Line) -> None:
    server.answer = dict_log([event(99, -5), *LOG])

    assert read(line).verifier_before == verifier_after([event(99, -5)])


def test_the_next_page_is_asked_from_the_last_events_time(server: ScriptedServer, line: Line) -> None:
    server.answer = dict_log(LOG)

    read(line, page_limit=5)

    assert [request.query["StartTime"] for request in server.received] == [
        "2026-01-10T10:00:00.000Z",
        "2026-01-10T10:00:00.050Z",
    ]


def test_the_whole_log_is_read_without_a_start(server: ScriptedServer, line: Line) -> None:
    server.script(page(LOG))

    assert read_events(line.client(), "CPF", None).events == tuple(LOG)
    assert "StartTime" not in server.received[0].query


def test_a_start_between_two_milliseconds_is_rounded_down(server: ScriptedServer, line: Line) -> None:
    server.answer = dict_log(LOG)

    log = read_events(line.client(), "CPF", AT + timedelta(milliseconds=10, microseconds=700))

    assert log.events == tuple(LOG)


def test_a_cid_that_comes_and_goes_within_a_millisecond_keeps_all_its_events(
    server: ScriptedServer, line: Line
) -> None:
    toggles = [event(1, 10), event(1, 10, "REMOVED"), event(1, 10)]
    log = [event(5, 0), *toggles, event(6, 20)]
    server.answer = dict_log(log)

    for page_limit in (4, 5):
        assert read(line, page_limit).events == tuple(log)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 5), st.integers(0, 12), st.booleans()), max_size=25),
    st.integers(0, 3),
    st.integers(),
)
def test_whatever_the_log_each_event_is_read_once(drawn: list[tuple[int, int, bool]], spare: int, seed: int) -> None:
    log = [event(number, at, "ADDED" if added else "REMOVED") for number, at, added in drawn]
    most_at_once = max([sum(e.timestamp == other.timestamp for e in log) for other in log], default=1)
    with scripted_server() as server, http_client(server.url) as http:
        server.answer = dict_log(log, random.Random(seed).random)

        # A page must hold what repeats at its edge and all of the next millisecond.
        found = read(Line(http), page_limit=2 * most_at_once + spare)

    assert sorted(found.events, key=repr) == sorted(log, key=repr)
    assert [e.timestamp for e in found.events] == sorted(e.timestamp for e in log)
    if log:
        assert found.verifier_before == BASE
        assert found.verifier_end == verifier_after(log)


def test_events_that_arrive_meanwhile_at_the_pages_edge_are_read(server: ScriptedServer, line: Line) -> None:
    late = event(50, 30)
    server.script(page(LOG[:3], more=True), page([LOG[2], late, *LOG[3:]], base=verifier_after(LOG[:2])))

    assert read(line).events == (*LOG[:3], late, *LOG[3:])


# Logs that are not believed


def refused(line: Line, why: str, **bounds: int) -> None:
    with pytest.raises(EventLogError, match=why) as error:
        read(line, **bounds)
    assert isinstance(error.value, RefusedError)
    assert "the CID file is needed" in str(error.value)


def test_verifiers_that_contradict_the_events_are_refused(server: ScriptedServer, line: Line) -> None:
    server.script(page(LOG, sync_verifier_end=BASE), page(LOG, sync_verifier_start=BASE))

    refused(line, "contradicts its SyncVerifiers")
    refused(line, "contradicts its SyncVerifiers")


def test_the_start_verifier_is_the_one_after_the_first_event(server: ScriptedServer, line: Line) -> None:
    """An early version of the API had the verifier before it: that reading must not pass."""
    server.script(page(LOG, sync_verifier_start=BASE, sync_verifier_end=verifier_after(LOG)))

    refused(line, "contradicts its SyncVerifiers")


def test_a_page_that_does_not_join_the_one_before_is_refused(server: ScriptedServer, line: Line) -> None:
    server.script(page(LOG[:3], more=True), page(LOG[2:], base=verifier_after(LOG[:1])))

    refused(line, "do not join")


def test_a_page_that_skips_an_event_at_the_edge_is_refused(server: ScriptedServer, line: Line) -> None:
    first = [event(1, 0), event(2, 10), event(3, 10)]
    second = [event(2, 10), event(4, 20)]
    server.script(page(first, more=True), page(second, base=verifier_after(first[:1])))

    refused(line, "skips events")


def test_an_event_of_which_one_copy_is_lost_is_refused(server: ScriptedServer, line: Line) -> None:
    first = [event(1, 0), event(2, 10), event(2, 10)]
    server.script(page(first, more=True), page([event(2, 10), event(4, 20)], base=verifier_after(first[:1])))

    refused(line, "skips events")


def test_a_page_that_loses_everything_is_refused(server: ScriptedServer, line: Line) -> None:
    server.script(page(LOG[:3], more=True), page([]))

    refused(line, "lost events")


def test_an_empty_page_that_is_not_the_last_is_refused(server: ScriptedServer, line: Line) -> None:
    server.script(page([], more=True))

    refused(line, "empty and not the last")


def test_a_page_that_goes_back_in_time_is_refused(server: ScriptedServer, line: Line) -> None:
    server.script(page([LOG[1], LOG[0]]), page([event(1, -1), *LOG]), page(LOG[:3], more=True), page(LOG))

    refused(line, "back in time")
    refused(line, "back in time")
    refused(line, "back in time")


def test_a_log_that_loops_is_refused(server: ScriptedServer, line: Line) -> None:
    server.script(
        page(LOG[:3], more=True),
        page([LOG[2]], more=True, base=verifier_after(LOG[:2])),
    )

    refused(line, "same millisecond")


@pytest.mark.parametrize("lead", [0, 1])
def test_a_millisecond_that_fills_a_page_is_refused(server: ScriptedServer, line: Line, lead: int) -> None:
    crowd = [event(n, 10) for n in range(1, 202)]
    server.answer = dict_log([event(1000, 0)] * lead + crowd)

    refused(line, "more than 200 CID events have the same millisecond")


def test_a_millisecond_that_just_fits_a_page_is_read(server: ScriptedServer, line: Line) -> None:
    crowd = [event(n, 10) for n in range(1, 201)]
    server.answer = dict_log(crowd)

    assert read(line).events == tuple(crowd)


def test_an_event_of_an_unknown_type_is_refused(server: ScriptedServer, line: Line) -> None:
    server.script(page([event(1, 0, "MOVED")]))

    refused(line, "unknown type")


@pytest.mark.parametrize("changes", [{"participant": "99999999"}, {"key_type": "EVP"}])
def test_another_sets_log_is_refused(server: ScriptedServer, line: Line, changes: dict[str, Any]) -> None:
    server.script(page(LOG, **changes))

    with pytest.raises(DictAnswerError):
        read(line)


def test_a_log_that_costs_more_than_its_file_is_left_alone(server: ScriptedServer, line: Line) -> None:
    server.answer = dict_log(LOG)

    with pytest.raises(LogTooLongError, match="more than 2 pages"):
        read(line, page_limit=3, max_pages=2)
    assert len(server.received) == 2

    assert read(line, page_limit=3, max_pages=3).events == tuple(LOG)


def test_the_verifiers_are_real_vsyncs(server: ScriptedServer, line: Line) -> None:
    """From an empty set, the log's end is the VSync of what it added."""
    server.script(page(LOG, base=EMPTY_VSYNC))

    log = read(line)

    assert (log.verifier_before, log.verifier_end) == (EMPTY_VSYNC, vsync(e.cid for e in LOG))
