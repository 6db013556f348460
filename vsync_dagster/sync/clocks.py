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
        [(ours,)] = database.retrying(lambda connection: connection.execute("select clock_timestamp()").fetchall())
        return cls(answered_at - ours)

    def of_dict(self, ours: datetime) -> datetime:
        """Return a moment of our database's clock in DICT's time."""
        return ours + self.ahead
