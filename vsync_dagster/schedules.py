"""When syncs run by themselves: for every participant that is enabled then, daily, and once a week in full."""

import logging
import os
from collections.abc import Iterator, Sequence
from datetime import date

import dagster as dg

from vsync_dagster.dict_api.budget import CIDS_FILES_WRITE, DOCUMENTED
from vsync_dagster.environment import Environment
from vsync_dagster.jobs import sync_job
from vsync_dagster.local_db import budgets, participants
from vsync_dagster.local_db.database import Connection
from vsync_dagster.partitions import SyncPartition, open_partitions_for
from vsync_dagster.preflight import DEFAULT_CRONS, check_day, check_variables, cron
from vsync_dagster.reconcile import full_syncs
from vsync_dagster.reconcile.calendar import TIMEZONE, day_of
from vsync_dagster.reconcile.errors import EnvironmentVariableError
from vsync_dagster.reconcile.plan import Bucket
from vsync_dagster.reconcile.status import SyncType
from vsync_dagster.resources import LocalDatabase, environment

_log = logging.getLogger(__name__)
_FILES = DOCUMENTED[CIDS_FILES_WRITE]
# Full, as DICT's documentation has it.
_UNUSED = Bucket(_FILES.capacity, _FILES.capacity, _FILES.tokens_per_second)


def _cron(name: str) -> str:
    """Return a schedule's cron; the default where the variable is malformed.

    An error here would take the whole code location away, with its alerts and clocks. So it loads, and each tick, and
    every other start of a sync, fails with one line until the variable is right.
    """
    try:
        return cron(Environment(os.environ), name)
    except EnvironmentVariableError as error:
        _log.error("%s; no sync starts before that is corrected", error)
        return DEFAULT_CRONS[name]


@dg.schedule(
    job=sync_job,
    cron_schedule=_cron("VSYNC_DAILY_CRON"),
    execution_timezone=TIMEZONE,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="An INCREMENTAL sync of every enabled participant (`VSYNC_DAILY_CRON`).",
)
def daily_sync(context: dg.ScheduleEvaluationContext, local_database: LocalDatabase) -> Iterator[dg.RunRequest]:
    """Ask for one run a participant, in the partition of the day on which the tick is due."""
    day = _checked_day(context)
    enabled = [each.ispb for each in local_database.database().retrying(participants.enabled)]
    yield from _requests(context, day, enabled, SyncType.INCREMENTAL)


@dg.schedule(
    job=sync_job,
    cron_schedule=_cron("VSYNC_WEEKLY_CRON"),
    execution_timezone=TIMEZONE,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="A FULL sync of each enabled participant whose last is a week old (`VSYNC_WEEKLY_CRON`).",
)
def weekly_full_sync(context: dg.ScheduleEvaluationContext, local_database: LocalDatabase) -> Iterator[dg.RunRequest]:
    """Ask for as many as DICT grants CID files for, those first who have waited longest; the others have to wait."""

    def due(connection: Connection) -> list[str]:
        buckets = budgets.buckets_of(connection, CIDS_FILES_WRITE)
        return full_syncs.due(participants.last_fulls(connection), buckets, _UNUSED, context.scheduled_execution_time)

    day = _checked_day(context)
    yield from _requests(context, day, local_database.database().retrying(due), SyncType.FULL)


def _requests(
    context: dg.ScheduleEvaluationContext, day: date, ispbs: Sequence[str], sync_type: SyncType
) -> Iterator[dg.RunRequest]:
    """Ask for runs; a table that cannot be read has failed the tick by now, which then asks for nothing.

    The run key keeps a tick that is repeated, after a crash of the daemon, from starting the same run twice.
    """
    open_partitions_for(context.instance, ispbs)
    for ispb in ispbs:
        partition = SyncPartition(day, ispb)
        yield dg.RunRequest(
            run_key=f"{sync_type.value}|{partition.key}",
            partition_key=partition.key,
            run_config={"resources": {"settings": {"config": {"sync_type": sync_type.value}}}},
            tags={"vsync/sync_type": sync_type.value},
        )


def _checked_day(context: dg.ScheduleEvaluationContext) -> date:
    """Return the day on which the tick is due, once it is clear that syncs can start.

    Whether files and storage are there is for each run to check, which may be on another machine.

    Raises:
        EnvironmentVariableError: a variable is malformed.
        NotStartedError: the day is before VSYNC_FIRST_DAY.
    """
    variables, due_at = environment(), context.scheduled_execution_time
    check_variables(variables)
    day = day_of(due_at)
    check_day(day, variables.first_day, due_at)
    return day
