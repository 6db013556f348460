"""Shows each enabled participant in the UI, and to backfills, as soon as it is in the table."""

import dagster as dg

from vsync_dagster.local_db import participants
from vsync_dagster.partitions import open_partitions_for
from vsync_dagster.resources import LocalDatabase


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Opens the partitions of participants that were added to the table. Starts no run.",
)
def new_participants(context: dg.SensorEvaluationContext, local_database: LocalDatabase) -> dg.SkipReason:
    """Only ever add: a participant that is disabled keeps its history, and a failed read changes nothing."""
    enabled = [each.ispb for each in local_database.database().retrying(participants.enabled)]
    added = open_partitions_for(context.instance, enabled)
    return dg.SkipReason(f"opened the partitions of {', '.join(added)}" if added else "no new participant")
