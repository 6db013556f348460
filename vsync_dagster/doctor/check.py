"""The result of a check, and what a failure of ours becomes."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from vsync_dagster.reconcile.errors import VsyncError, unforeseen


class State(StrEnum):
    """OK; WARNING: a sync works all the same; FAILED: none works; SKIPPED: not tried, since another check failed."""

    OK = "OK"
    WARNING = "WARNING"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"


@dataclass(frozen=True, slots=True)
class Check:
    """What was checked, how it stands, what was seen, and what to do. No field holds personal data or a secret."""

    name: str
    state: State
    detail: str
    action: str = ""


def failed(name: str, error: Exception, state: State = State.FAILED) -> Check:
    """Return the check that an error ended: its text says what to do."""
    text = str(error) if isinstance(error, VsyncError) else f"unexpected {unforeseen(error)}"
    detail, separator, action = text.partition(": ")
    return Check(name, state, detail, action if separator else "")


def would_sync(checks: Iterable[Check]) -> bool:
    """Tell whether a sync would work: nothing failed."""
    return all(check.state is not State.FAILED for check in checks)
