"""What a person who waits sees: why nothing happens just now, and how far the work is.

Nothing here is personal: a policy, an operation, a key type, a count.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from tenacity import RetryCallState

LONG_WAIT_S = 5.0
COUNT_EVERY_S = 10.0
COUNTED = "counted"
"""The attribute of log records that tell a count, for whoever shows counts otherwise."""


class Display(Protocol):
    """Shows counts as they change, such as a bar on a terminal. Called from several threads."""

    def show(self, what: str, done: int, total: int) -> None:
        """Show how far something is."""

    def hide(self, what: str) -> None:
        """Stop showing it: it has ended, well or not."""


_displays: list[Display] = []


def show_on(display: Display) -> None:
    """Have a display show the counts of this process from now on."""
    _displays.append(display)


@contextmanager
def shown_on(display: Display) -> Iterator[None]:
    """Have a display show the counts of this process while the block runs."""
    show_on(display)
    try:
        yield
    finally:
        _displays.remove(display)


def log_wait(log: logging.Logger, seconds: float, what: str, at_most: float | None = None) -> None:
    """Log a wait of more than 5 s before it begins.

    Args:
        log: the logger of whoever waits.
        seconds: how long it is.
        what: what for, as in "waiting 42 s for WHAT".
        at_most: the longest that will be waited, if there is a limit.
    """
    if seconds > LONG_WAIT_S:
        limit = "" if at_most is None else f" (at most {at_most:.0f} s)"
        log.info("waiting %.0f s for %s%s", seconds, what, limit)


def log_retries(log: logging.Logger, attempts: int) -> Callable[[RetryCallState], None]:
    """Return what tenacity calls before it waits: logs each retry from the second on, and each wait over 5 s."""

    def before_sleep(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        log_retry(log, state.attempt_number, attempts, state.upcoming_sleep, error)

    return before_sleep


def log_retry(log: logging.Logger, attempt: int, attempts: int, seconds: float, why: object) -> None:
    """Log that an attempt failed and another follows, but for a first one that is repeated soon."""
    if attempt > 1 or seconds > LONG_WAIT_S:
        log.warning("attempt %d of %d failed, the next one in %.0f s: %s", attempt, attempts, seconds, why)


@dataclass(slots=True)
class Count:
    """How many of how many are done. Logged every ten seconds at most, and shown at once where there is a display."""

    log: logging.Logger
    what: str
    total: int
    clock: Callable[[], float] = time.monotonic
    done: int = 0
    _logged_at: float = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._logged_at = self.clock()

    def advance(self, by: int = 1) -> None:
        """Count what has been done since the last call."""
        with self._lock:
            self.done += by
            due = self.clock() - self._logged_at >= COUNT_EVERY_S
            if due:
                self._logged_at = self.clock()
        for display in _displays:
            display.show(self.what, self.done, self.total)
        if due:
            self.log.info("%s: %d of %d", self.what, self.done, self.total, extra={COUNTED: True})


@contextmanager
def counting(
    log: logging.Logger, what: str, total: int, clock: Callable[[], float] = time.monotonic
) -> Iterator[Count]:
    """Count while the block runs; `what` names the work, such as "looking up CIDs"."""
    try:
        yield Count(log, what, total, clock)
    finally:
        for display in _displays:
            display.hide(what)
