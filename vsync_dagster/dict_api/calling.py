"""One call to DICT from end to end: budget, signature, attempts, problem answers, and the evidence of each."""

import random as random_module
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
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
from vsync_dagster.dict_api.retrying import RetryRule, TryAgainError
from vsync_dagster.dict_api.xml import MalformedMessageError, from_xml, parse_document, serialize, to_xml
from vsync_dagster.reconcile.errors import BudgetExhaustedError

_REJECTIONS = {403: DictForbiddenError, 404: DictNotFoundError}
# A gateway that gave up on DICT does not know what DICT did; DICT's own 500 and 503 say that it did nothing.
_AMBIGUOUS_STATUSES = (502, 504)
_LONGEST_RESULT = 64


class DictMessage(Protocol):
    """What every answer of DICT has."""

    @property
    def response_time(self) -> datetime:
        """When DICT answered, by its clock."""

    @property
    def correlation_id(self) -> str:
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
        participant: the ISPB that the calls are about.
        requester: the ISPB that makes them: the participant's own, or that of the direct participant acting for it.
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
    """

    http: httpx.Client
    participant: str
    requester: str
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

    def call(
        self,
        request: Request,
        answer_type: type[_M],
        accept: Callable[[_M, Seen], None],
        max_ambiguous: int | None = None,
    ) -> _M:
        """Make a call, retrying what passes by itself, and return DICT's answer.

        Args:
            request: what to send.
            answer_type: the message that DICT answers with.
            accept: checks that the answer is about what was asked (see `expect`) and notes its result.
            max_ambiguous: how many failures after which DICT may have acted are followed by another attempt.

        Raises:
            DictIdentityError, SignatureRefusedError: it is not DICT that answers, or not us whom it wants to talk to.
            DictUnavailableError: no answer or 5xx until no attempt was left, or Retry-After is too far away.
            BudgetExhaustedError: the same of 429, or `budget` has no token soon enough.
            DictAnswerError: the answers are not what DICT specifies, or not about what was asked.
            DictRejectedError: DICT refuses the request (403: DictForbiddenError, 404: DictNotFoundError).
            VsyncError: what `budget`, `record` and `verify` raise.
        """
        rule = RetryRule(self.sleep, self.random, self.now, self.attempts, self.max_retry_after)
        return rule.run(lambda: self._attempt(request, answer_type, accept), max_ambiguous)

    def document(self, message: object) -> bytes:
        """Return the signed document of a request message."""
        return serialize(self.sign(to_xml(message)))

    def _attempt(self, request: Request, answer_type: type[_M], accept: Callable[[_M, Seen], None]) -> _M:
        self.budget.take(request.policy)
        seen = Seen(request.key_type, request.reference)
        called_at, started = self.now(), self.clock()
        try:
            answer = self._exchange(request, seen)
            if not 200 <= answer.status < 300:
                raise self._failure(request, answer, seen)
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
            raise TryAgainError(_unavailable(request, failure.what), ambiguous=failure.sent) from None
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
            seen.response_time, seen.correlation_id = message.response_time, _word(message.correlation_id)
            accept(message, seen)
        except MalformedMessageError as malformed:
            seen.result = "MALFORMED"
            error = DictAnswerError(f"DICT's answer to {request.operation} is not usable: {malformed}")
            raise TryAgainError(error, ambiguous=True) from None
        return message

    def _verify(self, request: Request, root: etree._Element, seen: Seen) -> None:
        seen.result = "SIGNATURE_REFUSED"
        try:
            self.verify(root)
        except SignatureRefusedError as refused:
            raise refused.of(f"DICT's answer to {request.operation}") from None
        seen.result = "ANSWERED"

    def _failure(self, request: Request, answer: Answer, seen: Seen) -> Exception:
        """Return what to raise for an answer that is not 2xx."""
        problem = self._problem(request, answer, seen)
        kind = (problem and _word(problem.kind)) or "no problem document of DICT's"
        seen.result = kind if problem else "MALFORMED"
        if answer.status == 500:
            self.budget.refund(request.policy)
        retry_after = retry_after_seconds(answer.retry_after, self.now())
        if answer.status == 429:
            self.budget.drained(request.policy)
            wait = retry_after or self.budget.bucket(request.policy).seconds_for(1)
            return TryAgainError(BudgetExhaustedError(request.policy, wait), retry_after=retry_after)
        if answer.status >= 500:
            return TryAgainError(
                _unavailable(request, f"HTTP {answer.status}, {kind}"),
                retry_after=retry_after,
                ambiguous=answer.status in _AMBIGUOUS_STATUSES,
            )
        # A 404 that is not DICT's own (a proxy's page, a wrong base URL) must not pass for "no such entry".
        rejection = _REJECTIONS.get(answer.status, DictRejectedError) if problem else DictRejectedError
        return rejection(request.operation, answer.status, kind, seen.correlation_id)

    def _problem(self, request: Request, answer: Answer, seen: Seen) -> Problem | None:
        try:
            root = parse_document(answer.body)
            problem = Problem.from_xml(root)
        except MalformedMessageError:
            return None
        self._verify(request, root, seen)
        seen.correlation_id = _word(problem.correlation_id or "")
        return problem


def _unavailable(request: Request, what: str) -> DictUnavailableError:
    of = f" of {request.key_type}" if request.key_type else ""
    return DictUnavailableError(f"DICT does not answer {request.operation}{of} ({what}); try again later")


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
