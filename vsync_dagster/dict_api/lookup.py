"""Looking up many entries by their CIDs, several at a time.

One CID that DICT cannot answer for is one CID, not a DICT that is down: it happens that DICT holds an entry which its
own rules refuse, and answers 500 whenever that is read. So each CID has a few quick attempts; those that failed are
tried once more, together, after a pause; what still fails is UNREADABLE, and the others go on.

DICT is down where the failures are not about single CIDs: `IN_A_ROW` different CIDs failed one after the other, in
each of several rounds with longer and longer pauses; or there was no other outcome at all, and DICT did not so much as
answer (no connection, 503, a gateway's 429).
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain, islice
from queue import SimpleQueue

from vsync_dagster.dict_api.client import DictClient
from vsync_dagster.dict_api.errors import (
    DictAnswerError,
    DictForbiddenError,
    DictNotFoundError,
    DictRejectedError,
    DictUnavailableError,
)
from vsync_dagster.reconcile.entry import Entry
from vsync_dagster.reconcile.errors import TransientError
from vsync_dagster.reconcile.ispb import other_spelling
from vsync_dagster.reconcile.look_up import Found

CONCURRENCY = 16
IN_A_ROW = 10
ATTEMPTS = 3
# Seconds before each further round. The first is for single CIDs, too; the others are for a DICT that seems down.
_PAUSES = (10.0, 60.0, 60.0)

_Failure = DictAnswerError | DictRejectedError | DictUnavailableError


@dataclass(frozen=True, slots=True, repr=False)
class LookUp:
    """The answer about one CID; `entry` is there when it was FOUND. Personal data: has no repr.

    `response_time` is by DICT's clock, None where the answer was a problem document, which has no time. `problem` says
    why a CID is UNREADABLE: DICT's problem type and HTTP status, or that there was no usable answer.
    """

    cid: bytes
    outcome: Found
    entry: Entry | None
    correlation_id: str | None
    response_time: datetime | None
    problem: str | None = None


def look_up(client: DictClient, cids: Iterable[bytes], concurrency: int = CONCURRENCY) -> Iterator[LookUp]:
    """Look up each CID, `concurrency` at a time, and yield the answers as they come, UNREADABLE ones last.

    When DICT is down, or its budget ends, no further look-ups are begun; those under way are waited for and yielded,
    since they are paid for, and then the first failure is raised.

    Raises:
        VsyncError: what the client raises, where it is not about a single CID.
    """
    yield from _Run(client, replace(client, attempts=ATTEMPTS), concurrency).look_up(cids)


@dataclass(slots=True)
class _Run:
    """One run of look-ups.

    Attributes:
        suspects: the CIDs that failed, each with its failure.
        in_a_row: how many different CIDs failed since one had another outcome, or since the round began.
        any_outcome: whether one had another outcome at all.
        after_outage: whether this round is to find out if DICT is up again.
    """

    client: DictClient
    quick: DictClient
    concurrency: int
    suspects: dict[bytes, _Failure] = field(default_factory=dict)
    in_a_row: int = 0
    any_outcome: bool = False
    after_outage: bool = False

    def look_up(self, cids: Iterable[bytes]) -> Iterator[LookUp]:
        waiting = iter(cids)
        yield from self._round(waiting)
        for number, pause in enumerate(_PAUSES):
            again = [cid for cid, failure in self.suspects.items() if isinstance(failure, TransientError)]
            if not again or (number and not self._seems_down()):
                break
            self.client.sleep(pause)
            self.after_outage, self.in_a_row = self._seems_down(), 0
            yield from self._round(chain(waiting, again))
        if self._is_down():
            raise next(iter(self.suspects.values()))
        yield from (_unreadable(cid, failure) for cid, failure in self.suspects.items())

    def _seems_down(self) -> bool:
        return self.in_a_row >= IN_A_ROW

    def _is_down(self) -> bool:
        unanswered = self.suspects and not self.any_outcome and not any(map(_is_answer, self.suspects.values()))
        return self._seems_down() or bool(unanswered)

    def _round(self, waiting: Iterator[bytes]) -> Iterator[LookUp]:
        """Look up what is waiting, until it ends, DICT seems down, or something fails that is not about a CID."""
        ended: SimpleQueue[Future[LookUp | tuple[bytes, _Failure]]] = SimpleQueue()
        failure: BaseException | None = None
        with ThreadPoolExecutor(self.concurrency, thread_name_prefix="look-up") as pool:

            def begin(running: int) -> int:
                most = 0 if failure or self._seems_down() else self.concurrency - running
                begun = [pool.submit(_look_up, self.quick, cid) for cid in islice(waiting, most)]
                for future in begun:
                    future.add_done_callback(ended.put)
                return len(begun)

            running = begin(0)
            while running:
                future = ended.get()
                running -= 1
                failure = failure or future.exception()
                answer = None if future.exception() else self._take(future.result())
                running += begin(running)
                if answer is not None:
                    yield answer
        if failure is not None:
            raise failure

    def _take(self, result: LookUp | tuple[bytes, _Failure]) -> LookUp | None:
        """Return an answer, or keep a failure in mind."""
        if isinstance(result, LookUp):
            self.in_a_row, self.any_outcome, self.after_outage = 0, True, False
            self.suspects.pop(result.cid, None)
            return result
        cid, failure = result
        # A CID that fails again, while others do not, is no sign of an outage.
        self.in_a_row += self.after_outage or cid not in self.suspects
        self.suspects[cid] = failure
        return None


def _look_up(client: DictClient, cid: bytes) -> LookUp | tuple[bytes, _Failure]:
    try:
        answer = client.get_entry_by_cid(cid)
    except DictNotFoundError as problem:
        return _without_entry(cid, Found.GONE, problem)
    except DictForbiddenError as problem:
        return _without_entry(cid, Found.NOT_OURS, problem)
    except (DictAnswerError, DictRejectedError, DictUnavailableError) as failure:
        return cid, failure
    entry = answer.to_entry()
    outcome = _verdict(entry, cid, client.participant)
    found = entry if outcome is Found.FOUND else None
    return LookUp(cid, outcome, found, answer.correlation_id, answer.response_time)


def _verdict(entry: Entry, cid: bytes, participant: str) -> Found:
    if entry.cid() != cid:
        return Found.MISMATCH
    if other_spelling(entry.participant, participant):
        return Found.OTHER_SPELLING
    return Found.FOUND if entry.participant == participant else Found.NOT_OURS


def _without_entry(cid: bytes, outcome: Found, problem: DictRejectedError) -> LookUp:
    return LookUp(cid, outcome, None, problem.correlation_id, None)


def _is_answer(failure: _Failure) -> bool:
    """Whether a failure is an answer about what was asked, and not a sign that nobody is there to answer."""
    return not isinstance(failure, DictUnavailableError) or failure.status not in (None, 429, 503)


def _unreadable(cid: bytes, failure: _Failure) -> LookUp:
    return LookUp(cid, Found.UNREADABLE, None, failure.correlation_id, None, _problem(failure))


def _problem(failure: _Failure) -> str:
    if isinstance(failure, DictAnswerError):
        return f"an answer that cannot be used (HTTP {failure.status})"
    if failure.status is None:
        return "no answer"
    return f"{failure.kind} (HTTP {failure.status})"
