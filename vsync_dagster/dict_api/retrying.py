"""When a call to DICT is tried again, and after how long."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type

from vsync_dagster.dict_api.errors import DictAnswerError, DictUnavailableError
from vsync_dagster.progress import log_retries
from vsync_dagster.reconcile.errors import BudgetExhaustedError

_log = logging.getLogger(__name__)

_LONGEST_BACKOFF = 30.0
_Result = TypeVar("_Result")


class TryAgainError(Exception):
    """An attempt failed in a way that passes by itself; `error` is what to raise when no attempt is left.

    `ambiguous`: DICT may have done what was asked all the same.
    """

    def __init__(
        self,
        error: DictUnavailableError | DictAnswerError | BudgetExhaustedError,
        *,
        retry_after: float | None = None,
        ambiguous: bool = False,
    ) -> None:
        super().__init__(str(error))
        self.error = error
        self.retry_after = retry_after
        self.ambiguous = ambiguous


@dataclass(frozen=True, slots=True)
class AmbiguityRule:
    """After how many failures that leave open whether DICT acted another attempt is made, and after what pause (s)."""

    most: int
    pause: float


@dataclass(frozen=True, slots=True)
class RetryRule:
    """Exponential backoff with jitter between `attempts` attempts; Retry-After obeyed up to `max_retry_after` seconds.

    A longer Retry-After ends the call at once, with the time to come back in the error.
    """

    sleep: Callable[[float], None]
    random: Callable[[], float]
    now: Callable[[], datetime]
    attempts: int = 10
    max_retry_after: float = 300.0

    def run(self, attempt: Callable[[], _Result], ambiguity: AmbiguityRule | None = None) -> _Result:
        """Return the result of the first attempt that succeeds.

        Args:
            attempt: makes one attempt; `TryAgainError` says that another may help.
            ambiguity: how ambiguous failures are retried; None: like all others.

        Raises:
            DictUnavailableError, DictAnswerError, BudgetExhaustedError: no attempt succeeded.
        """
        course = _Course(self, ambiguity)
        retrying = Retrying(
            retry=retry_if_exception_type(TryAgainError),
            stop=course.stop,
            wait=course.wait,
            sleep=self.sleep,
            before_sleep=log_retries(_log, self.attempts),
            reraise=True,
        )
        try:
            return retrying(attempt)
        except TryAgainError as failure:
            error, retry_after = failure.error, failure.retry_after
        if isinstance(error, DictUnavailableError) and retry_after is not None:
            error.retry_at = self.now() + timedelta(seconds=retry_after)
        raise error


@dataclass(slots=True)
class _Course:
    """The course of one call: how many ambiguous failures there were."""

    rule: RetryRule
    ambiguity: AmbiguityRule | None
    ambiguous: int = field(default=0)

    def stop(self, state: RetryCallState) -> bool:
        failure = _failure(state)
        self.ambiguous += failure.ambiguous
        too_late = failure.retry_after is not None and failure.retry_after > self.rule.max_retry_after
        too_doubtful = self.ambiguity is not None and self.ambiguous > self.ambiguity.most
        return too_late or too_doubtful or state.attempt_number >= self.rule.attempts

    def wait(self, state: RetryCallState) -> float:
        failure = _failure(state)
        least = self.ambiguity.pause if self.ambiguity is not None and failure.ambiguous else 0.0
        if failure.retry_after is not None:
            # Many callers are told the same second; some jitter keeps them apart.
            return max(failure.retry_after, least) + self.rule.random()
        backoff = min(_LONGEST_BACKOFF, 2.0 ** (state.attempt_number - 1))
        return max(float(backoff * (0.5 + self.rule.random() / 2)), least)


def _failure(state: RetryCallState) -> TryAgainError:
    failure = state.outcome.exception() if state.outcome else None
    if not isinstance(failure, TryAgainError):
        raise TypeError("only a failed attempt is tried again")
    return failure
