"""DICT's request budgets: one token bucket a policy and ISPB, kept on this side so that no 429 is earned.

Source: DICT API 2.12.1, "Limitação de requisições"; Manual Operacional do DICT, chapter 14. Every answer costs
one token, errors and 503 too; only a 500 is free.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from vsync_dagster.dict_api.messages import Policy
from vsync_dagster.progress import log_wait
from vsync_dagster.reconcile.errors import BudgetExhaustedError
from vsync_dagster.reconcile.plan import Bucket

_log = logging.getLogger(__name__)

SYNC_VERIFICATIONS_WRITE = "SYNC_VERIFICATIONS_WRITE"
CIDS_FILES_WRITE = "CIDS_FILES_WRITE"
CIDS_FILES_READ = "CIDS_FILES_READ"
CIDS_EVENTS_LIST = "CIDS_EVENTS_LIST"
CIDS_ENTRIES_READ = "CIDS_ENTRIES_READ"
POLICIES_LIST = "POLICIES_LIST"
POLICIES_READ = "POLICIES_READ"


@dataclass(frozen=True, slots=True)
class Limit:
    """A bucket's size in tokens, and the tokens it gains every `refill_period_sec` seconds."""

    capacity: int
    refill_tokens: int
    refill_period_sec: int

    @property
    def tokens_per_second(self) -> float:
        """The refill, spread evenly."""
        return self.refill_tokens / self.refill_period_sec


# Where API and manual disagree, the lower: the higher one is learnt from GET /policies/.
DOCUMENTED: Mapping[str, Limit] = MappingProxyType(
    {
        SYNC_VERIFICATIONS_WRITE: Limit(50, 10, 60),
        CIDS_FILES_WRITE: Limit(200, 40, 86_400),
        CIDS_FILES_READ: Limit(50, 10, 60),
        CIDS_EVENTS_LIST: Limit(100, 20, 60),  # the manual's is 200 and 40
        CIDS_ENTRIES_READ: Limit(36_000, 1_200, 60),
        POLICIES_LIST: Limit(20, 6, 60),
        POLICIES_READ: Limit(200, 60, 60),
    }
)


class Budget(Protocol):
    """What the client asks before it spends. Safe to call from several threads."""

    def take(self, policy: str, tokens: int = 1) -> None:
        """Take tokens, waiting for them where needed; called before each attempt.

        Raises:
            BudgetExhaustedError: the wait would be longer than permitted.
        """

    def refund(self, policy: str, tokens: int = 1) -> None:
        """Give tokens back that DICT did not count: the answer was a 500."""

    def drained(self, policy: str) -> None:
        """DICT answered 429: its bucket is empty, whatever was believed."""

    def learn(self, policies: Sequence[Policy]) -> None:
        """Take over size, refill and state of the buckets as DICT tells them, but for unknown policies."""

    def bucket(self, policy: str) -> Bucket:
        """Return what may be spent of a bucket now, for a plan; another may spend it first."""


@dataclass(slots=True)
class _Bucket:
    limit: Limit
    tokens: float
    updated_at: float


class LocalBudget:
    """Budgets in this process's memory, for a process that is alone with its ISPB's budget."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        limits: Mapping[str, Limit] = DOCUMENTED,
        max_wait: float = 3_600.0,
    ) -> None:
        """Start with full buckets. `clock` gives seconds; one wait is at most `max_wait` seconds."""
        self._clock = clock
        self._sleep = sleep
        self._max_wait = max_wait
        self._lock = threading.Lock()
        now = clock()
        self._buckets = {name: _Bucket(limit, limit.capacity, now) for name, limit in limits.items()}

    def take(self, policy: str, tokens: int = 1) -> None:
        """Take tokens, waiting for them where needed.

        Raises:
            BudgetExhaustedError: the wait would be longer than `max_wait`.
            ValueError: more tokens than the bucket can ever hold.
        """
        while (wait := self._try_take(policy, tokens)) > 0:
            if wait > self._max_wait:
                raise BudgetExhaustedError(policy, wait)
            log_wait(_log, wait, f"DICT's budget {policy}", self._max_wait)
            self._sleep(wait)

    def refund(self, policy: str, tokens: int = 1) -> None:
        """Give tokens back that DICT did not count."""
        with self._lock:
            # More than the bucket holds is cut off by the next refill.
            self._refilled(policy).tokens += tokens

    def drained(self, policy: str) -> None:
        """Empty the bucket."""
        with self._lock:
            self._refilled(policy).tokens = 0.0

    def learn(self, policies: Sequence[Policy]) -> None:
        """Take over what DICT tells; a bucket that could never refill is not believed."""
        with self._lock:
            for policy in policies:
                usable = min(policy.capacity, policy.refill_tokens, policy.refill_period_sec) > 0
                if policy.name in self._buckets and usable:
                    limit = Limit(policy.capacity, policy.refill_tokens, policy.refill_period_sec)
                    tokens = min(max(policy.available_tokens, 0), limit.capacity)
                    self._buckets[policy.name] = _Bucket(limit, tokens, self._clock())

    def bucket(self, policy: str) -> Bucket:
        """Return what may be spent of a bucket."""
        with self._lock:
            held = self._refilled(policy)
            return Bucket(held.limit.capacity, held.tokens, held.limit.tokens_per_second)

    def _try_take(self, policy: str, tokens: int) -> float:
        """Take the tokens and return 0, or return the seconds until the bucket can hold them."""
        with self._lock:
            bucket = self._refilled(policy)
            if tokens > bucket.limit.capacity:
                raise ValueError(f"{policy} holds {bucket.limit.capacity} tokens, {tokens} were asked for")
            # A refill adds fractions; without the tolerance a rounding error would cost a second, tiny wait.
            missing = tokens - bucket.tokens
            if missing > 1e-6:
                return missing / bucket.limit.tokens_per_second
            bucket.tokens = max(bucket.tokens - tokens, 0.0)
            return 0.0

    def _refilled(self, policy: str) -> _Bucket:
        bucket = self._buckets[policy]
        now = self._clock()
        gained = max(now - bucket.updated_at, 0.0) * bucket.limit.tokens_per_second
        bucket.tokens = min(bucket.tokens + gained, bucket.limit.capacity)
        bucket.updated_at = now
        return bucket
