"""DICT's request budgets in PostgreSQL, shared by all processes that call DICT for one ISPB.

Fits `vsync_dagster.dict_api.budget.Budget` without knowing it: the limits come in as an argument.
"""

import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

from psycopg.rows import class_row

from vsync_dagster.local_db import budget_readings
from vsync_dagster.local_db.budget_readings import Claim, Subject
from vsync_dagster.local_db.database import Connection, Database, Session
from vsync_dagster.progress import log_wait
from vsync_dagster.reconcile.errors import BudgetExhaustedError
from vsync_dagster.reconcile.plan import Bucket

_log = logging.getLogger(__name__)

# Look-ups are many and their budget is large: one visit to the database fetches tokens for so many calls. What a
# process does not use of them is lost, which errs on the safe side.
LEASES: Mapping[str, int] = {"CIDS_ENTRIES_READ": 50}

# DICT counts a call when it arrives, we when it is sent: meanwhile our bucket refills and DICT's, if it is full, does
# not. The same goes for leased tokens. So one in so many, and at least one, is never spent.
_KEPT_BACK = 100

# Refills add fractions; without a tolerance a rounding error would cost a second, tiny wait.
_TOLERANCE = 1e-6

_CREATE = """
insert into dict_budgets (scope_ispb, policy, tokens, capacity, refill_tokens, refill_period_sec)
values (%(scope)s, %(policy)s, %(capacity)s, %(capacity)s, %(refill_tokens)s, %(refill_period_sec)s)
on conflict (scope_ispb, policy) do nothing
"""

# Refilled to now, by the database's clock; the lock keeps others from spending the same tokens.
_REFILLED = """
select capacity, refill_tokens::float8 / refill_period_sec as tokens_per_second,
    least(
        capacity,
        tokens + greatest(extract(epoch from clock_timestamp() - updated_at)::float8, 0)
            * refill_tokens / refill_period_sec
    ) as tokens
from dict_budgets where scope_ispb = %s and policy = %s
for update
"""

_ALL_OF = """
select scope_ispb, capacity, least(
        capacity,
        tokens + greatest(extract(epoch from clock_timestamp() - updated_at)::float8, 0)
            * refill_tokens / refill_period_sec
    ) as tokens, refill_tokens::float8 / refill_period_sec
from dict_budgets where policy = %s
"""

_KEEP = """
update dict_budgets
set tokens = greatest(%s, 0), spent = spent + %s, updated_at = greatest(updated_at, clock_timestamp())
where scope_ispb = %s and policy = %s
"""

_SPENT = "select policy, spent from dict_budgets where scope_ispb = %s"

# Without what was taken since the question: DICT may not have counted it when it answered.
_LEARN = """
insert into dict_budgets as bucket (
    scope_ispb, policy, tokens, capacity, refill_tokens, refill_period_sec, policies_read_at
)
values (
    %(scope)s, %(policy)s, %(tokens)s, %(capacity)s, %(refill_tokens)s, %(refill_period_sec)s, clock_timestamp()
)
on conflict (scope_ispb, policy) do update
set tokens = greatest(excluded.tokens - (bucket.spent - %(spent_before)s), 0),
    capacity = excluded.capacity, refill_tokens = excluded.refill_tokens,
    refill_period_sec = excluded.refill_period_sec, updated_at = excluded.updated_at,
    policies_read_at = excluded.policies_read_at
"""


class Limit(Protocol):
    """A bucket's size in tokens, and the tokens it gains every `refill_period_sec` seconds."""

    @property
    def capacity(self) -> int: ...
    @property
    def refill_tokens(self) -> int: ...
    @property
    def refill_period_sec(self) -> int: ...


class PolicyState(Limit, Protocol):
    """A bucket as DICT tells it."""

    @property
    def name(self) -> str: ...
    @property
    def available_tokens(self) -> int: ...


class SharedBudget:
    """The buckets of one ISPB, whoever's certificate carries the call. Safe for threads.

    `scope_ispb` is the participant that the calls are about, or its direct participant where DICT charges that one.
    """

    def __init__(
        self,
        database: Database,
        scope_ispb: str,
        limits: Mapping[str, Limit],
        *,
        session: Session | None = None,
        sleep: Callable[[float], None] = time.sleep,
        max_wait: float = 3_600.0,
    ) -> None:
        """Buckets that nobody has used yet start full, with `limits`. One wait is at most `max_wait` seconds.

        `session`, where there is one, is what is used of the database most of the time.
        """
        self._transactions = session or database
        self._scope = scope_ispb
        self._limits = limits
        self._sleep = sleep
        self._max_wait = max_wait
        self._lock = threading.Lock()
        self._leased: Counter[str] = Counter()
        self._logged_until: dict[str, float] = {}
        self._claim: Claim | None = None
        self._spent_before: Mapping[str, float] = {}

    def take(self, policy: str, tokens: int = 1) -> None:
        """Take tokens, waiting for them where needed.

        Raises:
            BudgetExhaustedError: the wait would be longer than `max_wait`.
            DatabaseUnavailableError, DatabaseError: the buckets could not be read.
            ValueError: more tokens than the bucket can ever hold.
        """
        while (wait := self._try_take(policy, tokens)) > 0:
            if wait > self._max_wait:
                raise BudgetExhaustedError(policy, wait)
            self._log_wait(policy, wait)
            self._sleep(wait)

    def refund(self, policy: str, tokens: int = 1) -> None:
        """Give tokens back that DICT did not count."""
        if policy in LEASES:
            with self._lock:
                self._leased[policy] += tokens
            return

        def give_back(conn: Connection) -> None:
            bucket = self._read(conn, policy)
            self._keep(conn, policy, min(bucket.tokens + tokens, bucket.capacity), spent=0)

        self._transactions.retrying(give_back, sleep=self._sleep)

    def drained(self, policy: str) -> None:
        """Empty the bucket: DICT answered 429."""
        with self._lock:
            self._leased[policy] = 0

        def empty(conn: Connection) -> None:
            bucket = self._read(conn, policy)
            self._keep(conn, policy, 0.0, spent=bucket.tokens)

        self._transactions.retrying(empty, sleep=self._sleep)

    def learn(self, policies: Sequence[PolicyState]) -> None:
        """Take over what DICT tells of the buckets known here; one that could never refill is not believed.

        Nothing is taken over outside of `learning`, or when its claim has expired: another process may have asked
        since. What anybody took since the claim is subtracted, also what DICT has counted already.
        """
        claim = self._claim
        if claim is None:
            return
        rows = [
            {
                "scope": self._scope,
                "policy": policy.name,
                "tokens": min(max(policy.available_tokens, 0), policy.capacity),
                "capacity": policy.capacity,
                "refill_tokens": policy.refill_tokens,
                "refill_period_sec": policy.refill_period_sec,
                "spent_before": self._spent_before.get(policy.name, 0.0),
            }
            for policy in policies
            if policy.name in self._limits and min(policy.capacity, policy.refill_tokens, policy.refill_period_sec) > 0
        ]

        def write(conn: Connection) -> bool:
            in_time = budget_readings.answered(conn, claim)
            if in_time:
                with conn.cursor() as cursor:
                    cursor.executemany(_LEARN, rows)
            return in_time

        if not self._transactions.retrying(write, sleep=self._sleep):
            _log.warning("DICT told its limits too late; keeping to those that are stored")
            return
        with self._lock:
            # DICT has not counted what was leased and not used: it is in the number that was just told.
            self._leased.clear()

    def bucket(self, policy: str) -> Bucket:
        """Return what may be spent of a bucket: without what is kept back, and with what is leased."""
        held = self._transactions.retrying(lambda conn: self._read(conn, policy), sleep=self._sleep)
        kept_back = _kept_back(held, 1)
        with self._lock:
            spendable = max(held.tokens - kept_back, 0.0) + self._leased[policy]
        return Bucket(held.capacity - kept_back, spendable, held.tokens_per_second)

    @contextmanager
    def learning(self) -> Iterator[bool]:
        """Keep other processes from asking DICT for its buckets, and tell whether that is due: once a day.

        No transaction is open in the block. The others go on with the last answer, or wait for the first one.
        """
        claim = budget_readings.claim(self._transactions, self._scope, Subject.LIMITS, self._sleep)
        if claim is None:
            yield False
            return
        spent = self._transactions.retrying(
            lambda conn: conn.execute(_SPENT, [self._scope]).fetchall(), sleep=self._sleep
        )
        self._claim, self._spent_before = claim, dict(spent)
        try:
            yield True
        finally:
            self._claim = None
            self._transactions.retrying(lambda conn: budget_readings.release(conn, claim), sleep=self._sleep)

    def _log_wait(self, policy: str, wait: float) -> None:
        """Log a long wait once, however many threads wait for the same bucket."""
        with self._lock:
            if time.monotonic() < self._logged_until.get(policy, 0.0):
                return
            self._logged_until[policy] = time.monotonic() + wait
        log_wait(_log, wait, f"DICT's budget {policy}", self._max_wait)

    def _try_take(self, policy: str, tokens: int) -> float:
        """Take the tokens and return 0, or return the seconds until the bucket can hold them."""
        with self._lock:
            if self._leased[policy] < tokens:
                granted, wait = self._fetch(policy, tokens - self._leased[policy])
                if wait > 0:
                    return wait
                self._leased[policy] += granted
            self._leased[policy] -= tokens
            return 0.0

    def _fetch(self, policy: str, needed: int) -> tuple[int, float]:
        """Fetch at least the tokens needed from the database: how many, or the seconds until there are as many."""

        def fetch(conn: Connection) -> tuple[int, float]:
            bucket = self._read(conn, policy)
            if needed > bucket.capacity:
                raise ValueError(f"{policy} holds {bucket.capacity} tokens, {needed} were asked for")
            available = bucket.tokens - _kept_back(bucket, needed)
            if needed - available > _TOLERANCE:
                return 0, (needed - available) / bucket.tokens_per_second
            lease = min(LEASES.get(policy, 0), bucket.capacity // _KEPT_BACK)
            granted = min(max(needed, lease), math.floor(available + _TOLERANCE))
            self._keep(conn, policy, bucket.tokens - granted, spent=granted)
            return granted, 0.0

        return self._transactions.retrying(fetch, sleep=self._sleep)

    def _read(self, conn: Connection, policy: str) -> Bucket:
        """Read a bucket and lock it until the transaction ends."""
        limit = self._limits[policy]
        fresh = {
            "scope": self._scope,
            "policy": policy,
            "capacity": limit.capacity,
            "refill_tokens": limit.refill_tokens,
            "refill_period_sec": limit.refill_period_sec,
        }
        conn.execute(_CREATE, fresh)
        with conn.cursor(row_factory=class_row(Bucket)) as cursor:
            [bucket] = cursor.execute(_REFILLED, [self._scope, policy]).fetchall()
        return bucket

    def _keep(self, conn: Connection, policy: str, tokens: float, *, spent: float) -> None:
        conn.execute(_KEEP, [tokens, spent, self._scope, policy])


def buckets_of(conn: Connection, policy: str) -> dict[str, Bucket]:
    """Return the buckets of a policy by scope, as they are now, of all that were ever used. None is locked."""
    return {scope: Bucket(*state) for scope, *state in conn.execute(_ALL_OF, [policy]).fetchall()}


def _kept_back(bucket: Bucket, needed: int) -> int:
    return min(max(bucket.capacity // _KEPT_BACK, 1), bucket.capacity - needed)
