"""One call to DICT from end to end: budget, signature, attempts, problem answers, and the evidence of each.

HTTP's status is signed by nobody. So a problem document counts only if DICT signed it, its own `status` is HTTP's, and
it was not the answer to another call before. Without one, a 429 or a 5xx means "try again" and nothing else: no budget
is changed by it. Any other status without one is a refusal that proves nothing.
"""

import random as random_module
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol, TypeVar

import httpx
from lxml import etree

from vsync_dagster.dict_api.budget import Budget
from vsync_dagster.dict_api.calls import DictCall
from vsync_dagster.dict_api.errors import (
    DictAnswerError,
    DictForbiddenError,
    DictIdentityError,
    DictNotFoundError,
    DictRejectedError,
    DictUnavailableError,
    SignatureRefusedError,
)
from vsync_dagster.dict_api.exchange import (
    CALL_TIMEOUT,
    Answer,
    NoAnswerError,
    Request,
    exchange,
    retry_after_seconds,
)
from vsync_dagster.dict_api.messages import Problem
from vsync_dagster.dict_api.problems import AnsweredCalls
from vsync_dagster.dict_api.retrying import AmbiguityRule, RetryRule, TryAgainError
from vsync_dagster.dict_api.xml import MalformedMessageError, from_xml, parse_document, serialize, to_xml
from vsync_dagster.reconcile.errors import BudgetExhaustedError, VsyncError

# API 2.12.1, error table. What DICT signs under another type, or another status, is a refusal like any other.
_REJECTIONS = {
    (403, "Forbidden"): DictForbiddenError,
    (404, "NotFound"): DictNotFoundError,
    (410, "Gone"): DictNotFoundError,
}
_BEING_PROCESSED = (409, "ResourceConflict")
_NO_PROBLEM = "no problem document that DICT signed for it"
_LONGEST_RESULT = 64


class DictMessage(Protocol):
    """What every answer of DICT has."""

    @property
    def response_time(self) -> datetime | None:
        """When DICT answered, by its clock."""

    @property
    def correlation_id(self) -> str | None:
        """DICT's name for the call."""


_M = TypeVar("_M", bound=DictMessage)


@dataclass(slots=True)
class Seen:
    """What an attempt has learnt so far, for its `DictCall`."""

    key_type: str | None
    reference: str | None
    result: str = "FAILED"
    http_status: int | None = None
    correlation_id: str | None = None
    response_time: datetime | None = None


def expect(holds: bool, otherwise: str) -> None:
    """Refuse an answer that is well-formed and still wrong.

    Raises:
        MalformedMessageError: it does not hold.
    """
    if not holds:
        raise MalformedMessageError(f"the answer {otherwise}")


@dataclass(frozen=True, slots=True)
class DictCaller:
    """Calls to DICT about one participant. Safe to use from several threads, if `record` is.

    Attributes:
        http: from `exchange.http_client`.
        participant: the ISPB that the calls are about, and are charged to. A direct participant that acts for it shows
            by its certificate and signature alone.
        budget: asked before each attempt.
        record: is given every attempt, whatever came of it.
        sign: signs a request document.
        verify: refuses an answer or problem document whose signature is not DICT's, by raising.
        sleep: waits, in seconds.
        random: gives the jitter, in [0, 1).
        now: the time, in UTC.
        clock: seconds, for durations.
        attempts: how often a call is tried.
        max_retry_after: the longest Retry-After, in seconds, that a call waits for.
        call_timeout: the longest that one attempt may take, in seconds.
        answered: the CorrelationIds of the problem documents that came so far.
    """

    http: httpx.Client
    participant: str
    budget: Budget
    record: Callable[[DictCall], None]
    sign: Callable[[etree._Element], etree._Element]
    verify: Callable[[etree._Element], None]
    sleep: Callable[[float], None] = time.sleep
    random: Callable[[], float] = random_module.random
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    clock: Callable[[], float] = time.monotonic
    attempts: int = 10
    max_retry_after: float = 300.0
    call_timeout: float = CALL_TIMEOUT
    answered: AnsweredCalls = field(default_factory=AnsweredCalls)

    def call(
        self,
        request: Request,
        answer_type: type[_M],
        accept: Callable[[_M, Seen], None],
        ambiguity: AmbiguityRule | None = None,
    ) -> _M:
        """Make a call, retrying what passes by itself, and return DICT's answer.

        Args:
            request: what to send.
            answer_type: the message that DICT answers with.
            accept: checks that the answer is about what was asked (see `expect`) and notes its result.
            ambiguity: for a call that must not be made twice without need: what to do after a failure that leaves open
                whether DICT acted. Such a failure costs its token then, whatever its status.

        Raises:
            DictIdentityError, SignatureRefusedError: it is not DICT that answers, or not us whom it wants to talk to.
            DictUnavailableError: no answer or 5xx until no attempt was left, or Retry-After is too far away.
            BudgetExhaustedError: the same of 429, or `budget` has no token soon enough.
            DictAnswerError: the answers are not what DICT specifies, or not about what was asked.
            DictRejectedError: the request is refused (DictForbiddenError, DictNotFoundError: by a signed problem).
            VsyncError: what `budget`, `record` and `verify` raise.
        """
        rule = RetryRule(self.sleep, self.random, self.now, self.attempts, self.max_retry_after)
        return rule.run(lambda: self._attempt(request, answer_type, accept, ambiguity is None), ambiguity)

    def document(self, message: object) -> bytes:
        """Return the signed document of a request message."""
        return serialize(self.sign(to_xml(message)))

    def _attempt(
        self, request: Request, answer_type: type[_M], accept: Callable[[_M, Seen], None], a_500_is_free: bool
    ) -> _M:
        self.budget.take(request.policy)
        seen = Seen(request.key_type, request.reference)
        called_at, started = self.now(), self.clock()
        try:
            answer = self._exchange(request, seen)
            if not 200 <= answer.status < 300:
                raise self._failure(request, answer, seen, a_500_is_free)
            return self._read(request, answer, answer_type, accept, seen)
        finally:
            duration_ms = round((self.clock() - started) * 1000)
            self.record(_evidence(request.operation, self.participant, seen, called_at, duration_ms))

    def _exchange(self, request: Request, seen: Seen) -> Answer:
        try:
            answer = exchange(self.http, request, self.clock, self.call_timeout)
        except DictIdentityError:
            seen.result = "CERTIFICATE_REFUSED"
            self.budget.refund(request.policy)
            raise
        except NoAnswerError as failure:
            seen.result = failure.what
            if not failure.sent:
                self.budget.refund(request.policy)
            error = DictUnavailableError(_unavailable(request, failure.what))
            raise TryAgainError(error, ambiguous=failure.sent) from None
        seen.http_status = answer.status
        return answer

    def _read(
        self,
        request: Request,
        answer: Answer,
        answer_type: type[_M],
        accept: Callable[[_M, Seen], None],
        seen: Seen,
    ) -> _M:
        try:
            root = parse_document(answer.body)
            self._verify(request, root, seen)
            expect(etree.QName(root).localname == answer_type.__name__, "is another message")
            message = from_xml(answer_type, root)
            seen.response_time, seen.correlation_id = message.response_time, _word(message.correlation_id or "")
            accept(message, seen)
        except MalformedMessageError as malformed:
            seen.result = "MALFORMED"
            error = DictAnswerError(
                f"DICT's answer to {request.operation} is not usable: {malformed}",
                status=answer.status,
                correlation_id=seen.correlation_id,
            )
            raise TryAgainError(error, ambiguous=True) from None
        return message

    def _verify(self, request: Request, root: etree._Element, seen: Seen) -> None:
        seen.result = "SIGNATURE_REFUSED"
        try:
            self.verify(root)
        except SignatureRefusedError as refused:
            raise refused.of(f"DICT's answer to {request.operation}") from None
        seen.result = "ANSWERED"

    def _failure(self, request: Request, answer: Answer, seen: Seen, a_500_is_free: bool) -> Exception:
        """Return what to raise for an answer that is not 2xx."""
        problem = self._problem(request, answer, seen)
        kind = (problem and _word(problem.kind)) or _NO_PROBLEM
        if problem is not None:
            seen.result = kind
            self._account(request, answer.status, a_500_is_free)
        retry_after = retry_after_seconds(answer.retry_after, self.now())
        if answer.status == 429 and problem is not None:
            wait = retry_after or self.budget.bucket(request.policy).seconds_for(1)
            return TryAgainError(BudgetExhaustedError(request.policy, wait), retry_after=retry_after)
        if answer.status == 429 or answer.status >= 500 or (answer.status, kind) == _BEING_PROCESSED:
            error = DictUnavailableError(
                _unavailable(request, f"HTTP {answer.status}, {kind}"),
                status=answer.status,
                kind=kind,
                correlation_id=seen.correlation_id,
            )
            # Only DICT's own 503 says that nothing was done (API 2.12.1: maintenance, or out of hours).
            done_nothing = answer.status < 500 or (answer.status == 503 and problem is not None)
            return TryAgainError(error, retry_after=retry_after, ambiguous=not done_nothing)
        # A 404 that is not DICT's own (a proxy's page, a wrong base URL) must not pass for "no such entry".
        rejection = _REJECTIONS.get((answer.status, kind), DictRejectedError)
        return rejection(request.operation, answer.status, kind, seen.correlation_id)

    def _account(self, request: Request, status: int, a_500_is_free: bool) -> None:
        """Correct the budget by what DICT signed: a 429 says that it is empty, a 500 that nothing was counted."""
        if status == 500 and a_500_is_free:
            self.budget.refund(request.policy)
        elif status == 429:
            self.budget.drained(request.policy)

    def _problem(self, request: Request, answer: Answer, seen: Seen) -> Problem | None:
        """Return the answer's problem document if it counts: DICT signed it, for this status and this call."""
        seen.result = "MALFORMED"
        try:
            root = parse_document(answer.body)
            problem = Problem.from_xml(root)
            self._verify(request, root, seen)
        except VsyncError:
            return None
        if problem.status not in (None, answer.status):
            seen.result = "STATUS_CONTRADICTED"
            return None
        correlation_id = _word(problem.correlation_id or "")
        if correlation_id and not self.answered.is_new(correlation_id, f"{request.method} {request.path}"):
            seen.result = "REPLAYED"
            return None
        seen.correlation_id = correlation_id
        return problem


def _unavailable(request: Request, what: str) -> str:
    of = f" of {request.key_type}" if request.key_type else ""
    return f"DICT does not answer {request.operation}{of} ({what}); try again later"


def _word(text: str) -> str | None:
    """Return a word from DICT that goes into logs and tables, if it is one."""
    return text if re.fullmatch(r"[0-9A-Za-z-]{1,64}", text) else None


def _evidence(operation: str, participant: str, seen: Seen, called_at: datetime, duration_ms: int) -> DictCall:
    return DictCall(
        operation=operation,
        participant=participant,
        key_type=seen.key_type,
        correlation_id=seen.correlation_id,
        response_time=seen.response_time,
        reference=seen.reference,
        http_status=seen.http_status,
        result=seen.result[:_LONGEST_RESULT],
        called_at=called_at,
        duration_ms=duration_ms,
    )
