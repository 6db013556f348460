"""Many look-ups at once, none of them lost."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from vsync_dagster.dict_api.errors import DictRejectedError
from vsync_dagster.dict_api.lookup import LookUp, look_up
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


def test_a_failure_is_raised_after_what_is_paid_for_was_yielded(server: ScriptedServer, line: Line) -> None:
    cids = list(ENTRIES)
    refused = threading.Event()

    def answer(request: Received) -> Reply:
        if asked_cid(request) == cids[5]:
            refused.set()
            return problem(400, "BadRequest")
        if asked_cid(request) in cids[4:8]:
            # Still under way when the refusal arrives.
            assert refused.wait(5)
            time.sleep(0.05)
        return entry_answer(ENTRIES[asked_cid(request)])

    server.answer = answer
    yielded: list[LookUp] = []

    with pytest.raises(DictRejectedError, match="BadRequest"):
        yielded.extend(look_up(line.client(), cids, concurrency=4))
    # `extend` keeps what came before the failure.
    paid_for = {asked_cid(request) for request in server.received} - {cids[5]}

    assert {found.cid for found in yielded} == paid_for
    assert len(paid_for) < 20


def test_personal_data_has_no_repr(server: ScriptedServer, line: Line) -> None:
    server.answer = holds(ENTRIES)

    (answer,) = look_up(line.client(), [entry(1).cid()])

    assert "Maria" not in repr(answer)
    assert "+55" not in repr(answer)
