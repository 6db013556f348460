"""The reports as a calendar: how each participant's days went, and how long its clocks still run. Pure."""

from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from vsync_dagster.reconcile.calendar import day_of
from vsync_dagster.reconcile.keys import KeyType
from vsync_dagster.reconcile.status import Status
from vsync_dagster.reconcile.waiting import LONGEST_INTERVAL

_SHORT = timedelta(hours=12)


class Colour(StrEnum):
    """How good a thing is; a page shows a sign and a word beside the colour. MISSING: there should be a report."""

    GREEN = "GREEN"
    AMBER = "AMBER"
    RED = "RED"
    MISSING = "MISSING"


@dataclass(frozen=True, slots=True)
class Month:
    """A month of the calendar."""

    year: int
    number: int

    @classmethod
    def read(cls, text: str, today: date) -> "Month":
        """Return the month that `2026-11` names; today's where it names none."""
        try:
            named = date.fromisoformat(f"{text}-01")
        except ValueError:
            named = today
        return cls(named.year, named.month)

    def __str__(self) -> str:
        """Return what `read` reads."""
        return f"{self.year:04}-{self.number:02}"

    @property
    def days(self) -> list[date]:
        """All its days."""
        _, count = monthrange(self.year, self.number)
        return [date(self.year, self.number, day) for day in range(1, count + 1)]

    def moved(self, months: int) -> "Month":
        """Return the month so many later, or earlier; no later than the year 9999 and no earlier than 1."""
        position = min(max(self.year * 12 + self.number - 1 + months, 12), 9999 * 12 + 11)
        return Month(position // 12, position % 12 + 1)


@dataclass(frozen=True, slots=True)
class Clock:
    """The time that is left until a key type must have been verified again; None where it never was."""

    left: timedelta | None

    @property
    def colour(self) -> Colour:
        """RED where the time is over."""
        if self.left is None or self.left < timedelta(0):
            return Colour.RED
        return Colour.AMBER if self.left < _SHORT else Colour.GREEN

    @property
    def hours(self) -> int | None:
        """Whole hours that are left; less than none where the time is over."""
        return None if self.left is None else self.left // timedelta(hours=1)


def colour_of(status: str, *, verified: bool) -> Colour:
    """Return the colour of a day by its last report."""
    if status == Status.FAILED:
        return Colour.RED
    return Colour.GREEN if status == Status.COMPLETED and verified else Colour.AMBER


def is_missing(day: date, enabled_since: datetime | None, now: datetime) -> bool:
    """Tell whether a day without a report should have one: it is over, and whole within the participant's time.

    Args:
        day: a day of São Paulo, as the syncs are.
        enabled_since: since when the participant is to be synced; None where it is not.
        now: the time.
    """
    if enabled_since is None:
        return False
    return day_of(enabled_since) < day < day_of(now)


def clock_of(answered: Mapping[str, datetime | None], now: datetime) -> Clock:
    """Return the clock of the key type that must be verified first.

    Args:
        answered: when DICT last answered a verification, OK or not, by key type.
        now: the time.
    """
    times = [answered.get(key_type) for key_type in KeyType]
    known = [time for time in times if time is not None]
    return Clock(min(known) + LONGEST_INTERVAL - now if len(known) == len(times) else None)


def share(value: int | None, values: Mapping[str, int | None]) -> float:
    """Return how long a value's bar is, in percent of the longest; a value that is not 0 can be seen.

    One that is not known has no bar.
    """
    longest = max((known for known in values.values() if known is not None), default=0)
    return round(max(100 * value / longest, 0.5), 1) if value else 0.0
