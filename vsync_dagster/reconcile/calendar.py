"""The one calendar: a day is a day in São Paulo, whichever zone the machine, PostgreSQL or a person is in.

Partitions, schedules, retention, the review queue, the console and exports take their days from here. PostgreSQL has
the same rule in its functions `sync_day` and `sync_today` (migration `calendar`). Times are stored and shown in UTC.
"""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

TIMEZONE = "America/Sao_Paulo"
ZONE = ZoneInfo(TIMEZONE)


def day_of(moment: datetime) -> date:
    """Return the day on which a moment (with a zone) falls."""
    return moment.astimezone(ZONE).date()


def begin_of(day: date) -> datetime:
    """Return a day's first moment, in UTC."""
    return datetime.combine(day, time.min, ZONE).astimezone(UTC)


def end_of(day: date) -> datetime:
    """Return the first moment after a day, in UTC."""
    return begin_of(day + timedelta(days=1))
