"""Errors, named by what to do next.

Every error that this application raises on purpose is one of three kinds, so that whoever catches it (a retry, a
report, an operator) knows what to do without reading its text. The text is one line, says what to do, and holds no
personal data: no key, name, tax id or request id.
"""

import re
import traceback
from pathlib import PurePath
from typing import Any

TRACEBACK = "VSYNC_TRACEBACK"
"""The environment variable that, set to 1, has the stack of what nobody foresaw printed."""

UNEXPECTED = "unexpected"
"""The code of what is not one of our own errors."""


class VsyncError(Exception):
    """Base of all errors raised on purpose; its text is safe to log, store and publish.

    `code` names the heading of docs/messages.md that says what to do. By default it is the class's name, without
    `Error` and with hyphens; a class shares another one's heading by naming its code. The four general classes stand
    for many things: whoever raises one of them gives the code.
    """

    code: str = UNEXPECTED

    def __init__(self, *args: object, code: str | None = None) -> None:
        super().__init__(*args)
        if code is not None:
            self.code = code

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "code" not in cls.__dict__:
            cls.code = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", cls.__name__.removesuffix("Error")).lower()


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


class InvalidInputError(PermanentError):
    """What a person gave (an argument, a variable) cannot be used. Nothing was begun; commands exit with 64."""

    code = "bad-usage"


class EnvironmentVariableError(InvalidInputError):
    """An environment variable that is needed is missing or malformed; the text names it."""


class NotStartedError(InvalidInputError):
    """A sync was refused before it began: it has left no report, lease, chain or alert, and is not retried."""


class RefusedError(VsyncError):
    """Not done on purpose, because doing it could damage the key directory or report something untrue."""


def unforeseen(error: Exception) -> str:
    """Return what may be said of an error that nobody foresaw: what it is and where. Its own text can quote a key."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{where.name} ({PurePath(where.filename).name}, line {where.lineno})"
    return (
        f"{type(error).__name__} in {place}; please report this, with the lines that {TRACEBACK}=1 prints when it is"
        " run again"
    )


def stack(error: BaseException) -> str:
    """Return the places in the code through which an error came, without its text, which can quote a key."""
    return "".join(traceback.format_tb(error.__traceback__)) + type(error).__name__
