"""What a partition is: one participant (ISPB) on one day in São Paulo."""

from dataclasses import dataclass
from datetime import date

import dagster as dg

TIMEZONE = "America/Sao_Paulo"
FIRST_DAY = "2026-01-01"

# `end_offset=1`: the partition of a day is open during that day, since a sync asks DICT as it is now.
days = dg.DailyPartitionsDefinition(start_date=FIRST_DAY, timezone=TIMEZONE, end_offset=1)
participants = dg.DynamicPartitionsDefinition(name="ispb")
sync_partitions = dg.MultiPartitionsDefinition({"date": days, "ispb": participants})


@dataclass(frozen=True, slots=True)
class SyncPartition:
    """The sync of one participant on one day."""

    day: date
    ispb: str

    @property
    def key(self) -> dg.MultiPartitionKey:
        """The partition's key in Dagster, such as `2026-11-24|12345678`."""
        return dg.MultiPartitionKey({"date": self.day.isoformat(), "ispb": self.ispb})

    @classmethod
    def parse(cls, key: str) -> "SyncPartition":
        """Read a partition's key, whose dimensions Dagster orders by name: date, then ispb."""
        day, ispb = key.split("|")
        return cls(date.fromisoformat(day), ispb)
