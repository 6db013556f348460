"""The clocks of the 36-hour rule, DICT's answers and its OK, and our own: of whole reads, and of keys under review.

Source of the 36 hours: Manual Operacional do DICT, history of version 1.1: a verification every 36 hours at the latest.
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
    """How long a participant's clocks may run: without any answer of DICT's, without its OK, and without a whole read.

    An OK without the keys under review that is no older than `ok` keeps a missing true OK from being critical. A FULL
    sync is due each week: after two weeks it has not come twice, while one that waits for its turn among many, or
    fails once, is soon made up for.
    """

    answered_warning: timedelta = timedelta(hours=24)
    answered_critical: timedelta = timedelta(hours=33)
    ok: timedelta = LONGEST_INTERVAL
    read_whole: timedelta = timedelta(days=14)


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
