"""What must be right before a sync may leave a mark: variables, participant, day, storage.

Called by every way to start a sync: `vsync sync` (launch), the runs of Dagster (the first step of a run, before it
takes its lease) and the schedules. What fails here is a mistake in what was asked for or configured: one line, and no
report, partition, lease, chain or alert.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime

import dagster as dg

from vsync_dagster.environment import Environment
from vsync_dagster.local_db import participants
from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.errors import DatabaseError
from vsync_dagster.partitions import SyncPartition
from vsync_dagster.reconcile.calendar import day_of
from vsync_dagster.reconcile.errors import EnvironmentVariableError, NotStartedError, PermanentError
from vsync_dagster.store import SnapshotStore

DEFAULT_CRONS: Mapping[str, str] = {"VSYNC_DAILY_CRON": "0 2 * * *", "VSYNC_WEEKLY_CRON": "0 4 * * *"}


def check_startable(variables: Environment, partition: SyncPartition, now: datetime) -> None:
    """Check everything that a sync of a partition needs. Writes nothing that stays.

    Args:
        variables: the environment variables of the process that syncs.
        partition: the participant and the day.
        now: the time, with a zone.

    Raises:
        NotStartedError: a variable is missing or malformed, the participant is not registered, the day has no
            partition, or the storage of snapshots cannot be written. The text is one line that says what to do.
        TransientError, DatabaseError: PostgreSQL does not answer, or refuses: that is no mistake in what was asked for.
    """
    with not_started():
        check_variables(variables)
        _ = variables.dict_settings, variables.encryption_keys
        check_day(partition.day, variables.first_day, now)
        database = Database(variables.database_url)
        store = SnapshotStore(variables.storage_url)
        database.retrying(lambda connection: participants.get(connection, partition.ispb))
        store.check_writable()


def check_variables(variables: Environment) -> None:
    """Check the form of every variable that is set.

    Raises:
        EnvironmentVariableError: one is malformed.
    """
    variables.check()
    for name in DEFAULT_CRONS:
        cron(variables, name)


def check_day(day: date, first_day: date, now: datetime) -> None:
    """Check that a day has partitions: not before the first day, and not after today.

    Raises:
        NotStartedError: it has none.
    """
    today = day_of(now)
    if day > today:
        raise NotStartedError(f"{day} has not begun: today is {today} in São Paulo, and a sync asks DICT as it is now")
    if day < first_day:
        raise NotStartedError(f"{day} is before {first_day}, the first day that has syncs (VSYNC_FIRST_DAY)")


def cron(variables: Environment, name: str) -> str:
    """Return `VSYNC_DAILY_CRON` or `VSYNC_WEEKLY_CRON`, or its default.

    Raises:
        EnvironmentVariableError: it is no cron expression that Dagster accepts.
    """
    value = variables.variables.get(name) or DEFAULT_CRONS[name]
    try:
        dg.ScheduleDefinition(name="parsed", job_name="none", cron_schedule=value)
    except dg.DagsterInvalidDefinitionError:
        raise EnvironmentVariableError(
            f"{name} is malformed; it is a cron expression of five fields, such as {DEFAULT_CRONS[name]}"
        ) from None
    return value


@contextmanager
def not_started() -> Iterator[None]:
    """Turn permanent errors into a NotStartedError of the same text, but for what PostgreSQL refuses."""
    try:
        yield
    except (NotStartedError, DatabaseError):
        raise
    except PermanentError as error:
        raise NotStartedError(str(error), code=error.code) from None
