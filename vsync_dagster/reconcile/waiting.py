"""The clocks of the 36-hour rule: how long DICT has answered no verification, and how long it has not said OK.

Source: Manual Operacional do DICT, history of version 1.1: a verification every 36 hours at the latest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

LONGEST_INTERVAL = timedelta(hours=36)
"""The longest that the manual permits between two verifications of a participant's key type."""

LONGEST_REVIEW = timedelta(hours=24)
"""The longest that a key under review may wait for a person untold: it keeps the true VSync NOK."""


@dataclass(frozen=True, slots=True)
class ClockLimits:
    """How long a participant's clocks may run: without any answer of DICT's, and without its OK.

    An OK without the keys under review that is no older than `ok` keeps a missing true OK from being critical.
    """

    answered_warning: timedelta = timedelta(hours=24)
    answered_critical: timedelta = timedelta(hours=33)
    ok: timedelta = LONGEST_INTERVAL


@dataclass(frozen=True, slots=True)
class Overdue:
    """Which key types have waited too long, the longest of them in seconds, and whether that is critical."""

    key_types: tuple[str, ...]
    seconds: float
    critical: bool


def overdue(waited: Mapping[str, float], *, warn_after: float, critical_after: float) -> Overdue | None:
    """Return what has waited too long; None where nothing has.

    Args:
        waited: seconds, by key type.
        warn_after: as many seconds are not too long yet.
        critical_after: as many are not critical yet.
    """
    late = {key_type: seconds for key_type, seconds in waited.items() if seconds > warn_after}
    if not late:
        return None
    longest = max(late.values())
    return Overdue(tuple(late), longest, longest > critical_after)
