"""Many look-ups at once, none of them lost."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from lxml import etree

from vsync_dagster.dict_api.errors import DictUnavailableError, SignatureRefusedError
from vsync_dagster.dict_api.lookup import ATTEMPTS, LookUp, look_up
from vsync_dagster.dict_api.messages import Problem
from vsync_dagster.dict_api.xml import serialize
from vsync_dagster.reconcile.entry import Entry
from vsync_dagster.reconcile.look_up import Found
from vsync_dagster_tests.dict_api.parts import AT, CORRELATION_ID, Line, entry, entry_answer, problem
from vsync_dagster_tests.dict_api.server import Received, Reply, ScriptedServer

ENTRIES = {held.cid(): held for held in map(entry, range(40))}


def asked_cid(request: Received) -> bytes:
    return bytes.fromhex(request.path.rsplit("/", 1)[-1])


def holds(entries: dict[bytes, Entry]) -> Callable[[Received], Reply]:
    def answer(request: Received) -> Reply:
        held = entries.get(asked_cid(request))
        return entry_answer(held) if held else problem(404, "NotFound")

    return answer


def test_every_cid_is_answered_with_its_entry(server: ScriptedServer, line: Line) -> None:
    server.answer = holds(ENTRIES)

    found = {answer.cid: answer for answer in look_up(line.client(), ENTRIES, concurrency=4)}

    assert {cid: answer.entry for cid, answer in found.items()} == ENTRIES
    assert {answer.outcome for answer in found.values()} == {Found.FOUND}
    assert {(answer.correlation_id, answer.response_time) for answer in found.values()} == {(CORRELATION_ID, AT)}
    assert len(server.received) == len(line.calls) == 40


def test_no_cids_cost_nothing(server: ScriptedServer, line: Line) -> None:
    assert list(look_up(line.client(), [])) == []
    assert server.received == []


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (problem(404, "NotFound"), Found.GONE),
        (problem(410, "Gone"), Found.GONE),
        (problem(403, "Forbidden"), Found.NOT_OURS),
        (entry_answer(entry(3), cid=entry(2).cid()), Found.MISMATCH),
        (entry_answer(entry(2, "99999999")), Found.NOT_OURS),
    ],
)
def test_an_entry_that_cannot_be_had_is_an_outcome(
    server: ScriptedServer, line: Line, reply: Reply, outcome: Found
) -> None:
    server.script(reply)
    asked = entry(2, "99999999").cid() if b"99999999" in reply.body else entry(2).cid()

    (answer,) = look_up(line.client(), [asked])

    assert (answer.cid, answer.outcome, answer.entry) == (asked, outcome, None)
    assert answer.correlation_id == CORRELATION_ID


def test_so_many_at_a_time_and_no_more(server: ScriptedServer, line: Line) -> None:
    lock, now, most = threading.Lock(), [0], [0]

    def answer(request: Received) -> Reply:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.02)
        with lock:
            now[0] -= 1
        return entry_answer(ENTRIES[asked_cid(request)])

    server.answer = answer

    assert len(list(look_up(line.client(), ENTRIES, concurrency=3))) == 40
    assert most == [3]


def test_cids_are_drawn_only_as_fast_as_they_are_asked(server: ScriptedServer, line: Line) -> None:
    server.answer = holds(ENTRIES)
    drawn: list[bytes] = []

    def draw() -> Iterator[bytes]:
        for cid in ENTRIES:
            drawn.append(cid)
            yield cid

    answers = look_up(line.client(), draw(), concurrency=2)
    next(answers)

    assert len(drawn) <= 4


def test_answers_come_as_they_arrive(server: ScriptedServer, line: Line) -> None:
    slow, quick = list(ENTRIES)[:2]
    released = threading.Event()

    def answer(request: Received) -> Reply:
        if asked_cid(request) == slow:
            assert released.wait(5)
        return entry_answer(ENTRIES[asked_cid(request)])

    server.answer = answer
    answers = look_up(line.client(), [slow, quick], concurrency=2)

    assert next(answers).cid == quick
    released.set()
    assert next(answers).cid == slow


BAD = {
    "400": problem(400, "EntryInvalid"),
    "410 of another type": problem(410, "DeprecatedResource"),
    "500": problem(500, "InternalServerError"),
    "504": Reply(504, b"<html>Gateway Timeout</html>"),
    "HTML with 200": Reply(200, b"<html>maintenance</html>"),
    "HTML with 404": Reply(404, b"<html>not found</html>"),
    "another 404": problem(404, "ClaimKeyNotFound"),
}


def failing(request: Received) -> Reply:
    """Answer 500 with a CorrelationId of the call's own."""
    correlation_id = asked_cid(request).hex()[:32]
    return Reply(500, serialize(Problem("InternalServerError", 500, "Internal", correlation_id).to_xml()))


@pytest.mark.parametrize("what", BAD)
def test_one_bad_cid_is_one_bad_cid(server: ScriptedServer, line: Line, what: str) -> None:
    bad = list(ENTRIES)[5]
    server.answer = lambda request: BAD[what] if asked_cid(request) == bad else holds(ENTRIES)(request)

    answers = {answer.cid: answer for answer in look_up(line.client(), ENTRIES, concurrency=4)}

    assert {cid for cid, answer in answers.items() if answer.outcome is Found.FOUND} == ENTRIES.keys() - {bad}
    assert answers[bad].outcome is Found.UNREADABLE
    assert answers[bad].problem
    assert answers[bad].correlation_id == (CORRELATION_ID if b"correlationId" in BAD[what].body else None)
    asked = [asked_cid(request) for request in server.received].count(bad)
    assert asked <= 2 * ATTEMPTS
    assert sum(line.time.sleeps) < 20


def test_all_bad_cids_of_a_few_are_unreadable(server: ScriptedServer, line: Line) -> None:
    server.answer = failing

    answers = list(look_up(line.client(), list(ENTRIES)[:2]))

    assert [answer.outcome for answer in answers] == [Found.UNREADABLE] * 2
    assert {answer.problem for answer in answers} == {"InternalServerError (HTTP 500)"}


def test_many_bad_cids_among_good_ones_are_unreadable(server: ScriptedServer, line: Line) -> None:
    bad = set(list(ENTRIES)[::3])
    server.answer = lambda request: (
        Reply(500) if asked_cid(request) in bad else entry_answer(ENTRIES[asked_cid(request)])
    )

    answers = list(look_up(line.client(), ENTRIES, concurrency=1))

    assert {answer.cid for answer in answers if answer.outcome is Found.UNREADABLE} == bad


def test_where_every_answer_fails_it_is_dict_that_is_down(server: ScriptedServer, line: Line) -> None:
    server.answer = failing

    with pytest.raises(DictUnavailableError, match="HTTP 500"):
        list(look_up(line.client(), ENTRIES, concurrency=2))

    assert {10.0, 60.0} <= set(line.time.sleeps), "not before it had time to come back"
    assert len(server.received) < len(ENTRIES) * ATTEMPTS * 2


def test_dict_that_comes_back_is_asked_for_the_rest(server: ScriptedServer, line: Line) -> None:
    down = 10 * ATTEMPTS
    server.answer = lambda request: Reply(503) if len(server.received) <= down else holds(ENTRIES)(request)

    answers = list(look_up(line.client(), ENTRIES, concurrency=1))

    assert {answer.cid for answer in answers if answer.outcome is Found.FOUND} == ENTRIES.keys()


def test_no_answer_to_any_of_a_few_is_no_word_about_them(server: ScriptedServer, line: Line) -> None:
    server.answer = lambda _: problem(503, "ServiceUnavailable")

    with pytest.raises(DictUnavailableError, match="HTTP 503"):
        list(look_up(line.client(), list(ENTRIES)[:2]))


def test_a_failure_is_raised_after_what_is_paid_for_was_yielded(server: ScriptedServer, line: Line) -> None:
    cids = list(ENTRIES)

    def verify(document: etree._Element) -> None:
        if document.findtext("Cid") == cids[5].hex():
            raise SignatureRefusedError("it has none")

    server.answer = holds(ENTRIES)
    yielded: list[LookUp] = []

    with pytest.raises(SignatureRefusedError):
        yielded.extend(look_up(line.client(verify=verify), cids, concurrency=4))
    # `extend` keeps what came before the failure.
    paid_for = {asked_cid(request) for request in server.received} - {cids[5]}

    assert {found.cid for found in yielded} == paid_for
    assert len(paid_for) < 20


def test_personal_data_has_no_repr(server: ScriptedServer, line: Line) -> None:
    server.answer = holds(ENTRIES)

    (answer,) = look_up(line.client(), [entry(1).cid()])

    assert "Maria" not in repr(answer)
    assert "+55" not in repr(answer)
