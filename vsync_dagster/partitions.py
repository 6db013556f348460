"""What a partition is: one participant (ISPB) on one day in São Paulo."""

import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

import dagster as dg

from vsync_dagster.environment import FIRST_DAY, Environment
from vsync_dagster.local_db.participants import check_ispb
from vsync_dagster.reconcile.calendar import TIMEZONE
from vsync_dagster.reconcile.errors import EnvironmentVariableError, PermanentError
from vsync_dagster.reconcile.ispb import other_spelling

DIMENSION = "ispb"
_log = logging.getLogger(__name__)


def _first_day() -> str:
    """Return the first day; the default where the variable is malformed.

    Definitions load all the same, so that alerts and clocks go on; every sync is refused until the variable is right.
    """
    try:
        return Environment(os.environ).first_day.isoformat()
    except EnvironmentVariableError as error:
        _log.error("%s; no sync starts before that is corrected", error)
        return FIRST_DAY


# `end_offset=1`: the partition of a day is open during that day, since a sync asks DICT as it is now.
days = dg.DailyPartitionsDefinition(start_date=_first_day(), timezone=TIMEZONE, end_offset=1)
participants = dg.DynamicPartitionsDefinition(name=DIMENSION)
sync_partitions = dg.MultiPartitionsDefinition({"date": days, DIMENSION: participants})


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


def open_partitions_for(instance: dg.DagsterInstance, ispbs: Iterable[str]) -> list[str]:
    """Have Dagster know participants, and return those that are new to it.

    None is ever taken back: with its partitions Dagster would forget the runs of a participant that was disabled.

    Raises:
        PermanentError: one is not eight digits or letters (Dagster itself would take anything for a key), or differs
            from a known one in the case of letters alone: both would have the same folder on some file systems.
    """
    known = set(instance.get_dynamic_partitions(DIMENSION))
    new = [ispb for ispb in map(check_ispb, ispbs) if ispb not in known]
    for ispb in new:
        for other in known.union(new):
            if other_spelling(ispb, other):
                raise PermanentError(
                    f"{ispb} has partitions as {other}: upper and lower case differ", code="participant"
                )
    if new:
        instance.add_dynamic_partitions(DIMENSION, new)
    return new
