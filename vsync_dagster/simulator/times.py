"""Milliseconds since 1970, as DICT's time stamps have them, and datetimes."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def to_ms(time: datetime) -> int:
    """Return the milliseconds since 1970 of a time with a time zone, rounded down."""
    return (time - _EPOCH) // _MILLISECOND


def to_ms_up(time: datetime) -> int:
    """Return the milliseconds since 1970 of a time with a time zone, rounded up."""
    return -((_EPOCH - time) // _MILLISECOND)


def from_ms(milliseconds: int) -> datetime:
    """Return the time in UTC."""
    return _EPOCH + milliseconds * _MILLISECOND


def duration_ms(duration: timedelta) -> int:
    """Return a duration in whole milliseconds."""
    return duration // _MILLISECOND
