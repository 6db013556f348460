"""Errors, named by what to do next.

Every error that this application raises on purpose is one of three kinds, so that whoever catches it (a retry, a
report, an operator) knows what to do without reading its text. The text is one line, says what to do, and holds no
personal data: no key, name, tax id or request id.
"""

import traceback
from pathlib import PurePath


class VsyncError(Exception):
    """Base of all errors raised on purpose; its text is safe to log, store and publish."""


class TransientError(VsyncError):
    """Passes by itself: try again later (a timeout, a 5xx, a lost connection)."""


class BudgetExhaustedError(TransientError):
    """One of DICT's policies grants no token soon enough; `wait_seconds` is how far away the next one is."""

    def __init__(self, policy: str, wait_seconds: float) -> None:
        super().__init__(f"DICT's budget {policy} is used up; try again in {wait_seconds:.0f} s")
        self.policy = policy
        self.wait_seconds = wait_seconds


class PermanentError(VsyncError):
    """Stays until a person mends something: configuration, certificates, a request that DICT rejects."""


class EnvironmentVariableError(PermanentError):
    """An environment variable that is needed is missing or malformed; the text names it."""


class RefusedError(VsyncError):
    """Not done on purpose, because doing it could damage the key directory or report something untrue."""


def unforeseen(error: Exception) -> str:
    """Return what may be said of an error that nobody foresaw: what it is and where. Its own text can quote a key."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{where.name} ({PurePath(where.filename).name}, line {where.lineno})"
    return f"{type(error).__name__} in {place}; please report this"
