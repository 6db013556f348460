"""Two clocks: our database's and DICT's."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from vsync_dagster.local_db.database import Database


@dataclass(frozen=True, slots=True)
class DictClock:
    """How far DICT's clock is ahead of our database's, as an answer of DICT's shows it.

    The answer's time lies before the moment at which we read our own clock, so the offset is never too large: a moment
    of ours told in DICT's time is never too late.
    """

    ahead: timedelta

    @classmethod
    def seen_by(cls, answered_at: datetime, database: Database) -> "DictClock":
        """Compare an answer that has just come with our database's clock."""
        with database.connect() as connection:
            row = connection.execute("select clock_timestamp()").fetchone()
        assert row is not None  # noqa: S101 - a select without from gives one row
        return cls(answered_at - row[0])

    def of_dict(self, ours: datetime) -> datetime:
        """Return a moment of our database's clock in DICT's time."""
        return ours + self.ahead
