"""When syncs run by themselves: daily, and once a week in full, for every participant that is enabled then."""

import os
from collections.abc import Iterator
from datetime import date
from zoneinfo import ZoneInfo

import dagster as dg

from vsync_dagster.environment import Environment
from vsync_dagster.jobs import sync_job
from vsync_dagster.local_db import participants
from vsync_dagster.partitions import TIMEZONE, SyncPartition, open_partitions_for
from vsync_dagster.reconcile.status import SyncType
from vsync_dagster.resources import LocalDatabase

_crons = Environment(os.environ)


@dg.schedule(
    job=sync_job,
    cron_schedule=_crons.daily_cron,
    execution_timezone=TIMEZONE,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="An INCREMENTAL sync of every enabled participant (`VSYNC_DAILY_CRON`).",
)
def daily_sync(context: dg.ScheduleEvaluationContext, local_database: LocalDatabase) -> Iterator[dg.RunRequest]:
    """Ask for one run a participant, in the partition of the day on which the tick is due."""
    yield from _requests(context, local_database, SyncType.INCREMENTAL)


@dg.schedule(
    job=sync_job,
    cron_schedule=_crons.weekly_cron,
    execution_timezone=TIMEZONE,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="A FULL sync of every enabled participant (`VSYNC_WEEKLY_CRON`).",
)
def weekly_full_sync(context: dg.ScheduleEvaluationContext, local_database: LocalDatabase) -> Iterator[dg.RunRequest]:
    """Ask for one run a participant, in the partition of the day on which the tick is due."""
    yield from _requests(context, local_database, SyncType.FULL)


def _requests(
    context: dg.ScheduleEvaluationContext, local_database: LocalDatabase, sync_type: SyncType
) -> Iterator[dg.RunRequest]:
    """Ask for runs; a table that cannot be read fails the tick, which then asks for nothing.

    The run key keeps a tick that is repeated, after a crash of the daemon, from starting the same run twice.
    """
    enabled = [each.ispb for each in local_database.database().retrying(participants.enabled)]
    open_partitions_for(context.instance, enabled)
    day = _day(context)
    for ispb in enabled:
        partition = SyncPartition(day, ispb)
        yield dg.RunRequest(
            run_key=f"{sync_type.value}|{partition.key}",
            partition_key=partition.key,
            run_config={"resources": {"settings": {"config": {"sync_type": sync_type.value}}}},
            tags={"vsync/sync_type": sync_type.value},
        )


def _day(context: dg.ScheduleEvaluationContext) -> date:
    return context.scheduled_execution_time.astimezone(ZoneInfo(TIMEZONE)).date()
