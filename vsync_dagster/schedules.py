"""When syncs run by themselves: for every participant that is enabled then, daily, and once a week in full."""

import os
from collections.abc import Iterator, Sequence
from datetime import date
from zoneinfo import ZoneInfo

import dagster as dg

from vsync_dagster.dict_api.budget import CIDS_FILES_WRITE, DOCUMENTED
from vsync_dagster.environment import Environment
from vsync_dagster.jobs import sync_job
from vsync_dagster.local_db import budgets, participants
from vsync_dagster.local_db.database import Connection
from vsync_dagster.partitions import TIMEZONE, SyncPartition, open_partitions_for
from vsync_dagster.reconcile import full_syncs
from vsync_dagster.reconcile.plan import Bucket
from vsync_dagster.reconcile.status import SyncType
from vsync_dagster.resources import LocalDatabase

_crons = Environment(os.environ)
_FILES = DOCUMENTED[CIDS_FILES_WRITE]
# Full, as DICT's documentation has it.
_UNUSED = Bucket(_FILES.capacity, _FILES.capacity, _FILES.tokens_per_second)


@dg.schedule(
    job=sync_job,
    cron_schedule=_crons.daily_cron,
    execution_timezone=TIMEZONE,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="An INCREMENTAL sync of every enabled participant (`VSYNC_DAILY_CRON`).",
)
def daily_sync(context: dg.ScheduleEvaluationContext, local_database: LocalDatabase) -> Iterator[dg.RunRequest]:
    """Ask for one run a participant, in the partition of the day on which the tick is due."""
    enabled = [each.ispb for each in local_database.database().retrying(participants.enabled)]
    yield from _requests(context, enabled, SyncType.INCREMENTAL)


@dg.schedule(
    job=sync_job,
    cron_schedule=_crons.weekly_cron,
    execution_timezone=TIMEZONE,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="A FULL sync of each enabled participant whose last is a week old (`VSYNC_WEEKLY_CRON`).",
)
def weekly_full_sync(context: dg.ScheduleEvaluationContext, local_database: LocalDatabase) -> Iterator[dg.RunRequest]:
    """Ask for as many as DICT grants CID files for, those first who have waited longest; the others have to wait."""

    def due(connection: Connection) -> list[str]:
        buckets = budgets.buckets_of(connection, CIDS_FILES_WRITE)
        return full_syncs.due(participants.last_fulls(connection), buckets, _UNUSED, context.scheduled_execution_time)

    yield from _requests(context, local_database.database().retrying(due), SyncType.FULL)


def _requests(
    context: dg.ScheduleEvaluationContext, ispbs: Sequence[str], sync_type: SyncType
) -> Iterator[dg.RunRequest]:
    """Ask for runs; a table that cannot be read has failed the tick by now, which then asks for nothing.

    The run key keeps a tick that is repeated, after a crash of the daemon, from starting the same run twice.
    """
    open_partitions_for(context.instance, ispbs)
    day = _day(context)
    for ispb in ispbs:
        partition = SyncPartition(day, ispb)
        yield dg.RunRequest(
            run_key=f"{sync_type.value}|{partition.key}",
            partition_key=partition.key,
            run_config={"resources": {"settings": {"config": {"sync_type": sync_type.value}}}},
            tags={"vsync/sync_type": sync_type.value},
        )


def _day(context: dg.ScheduleEvaluationContext) -> date:
    return context.scheduled_execution_time.astimezone(ZoneInfo(TIMEZONE)).date()
