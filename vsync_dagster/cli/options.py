"""Options and argument types that several commands share."""

import os
from datetime import UTC, date, datetime
from typing import Any

import click

from vsync_dagster.environment import Environment
from vsync_dagster.local_db import participants
from vsync_dagster.local_db.database import Database
from vsync_dagster.reconcile.calendar import day_of
from vsync_dagster.reconcile.ispb import RULE, is_ispb


class IspbType(click.ParamType[str]):
    """Eight digits or letters; the case is kept."""

    name = "ispb"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the ISPB as it is, if it is one."""
        if not is_ispb(str(value)):
            self.fail(RULE, param, ctx)
        return str(value)


class TimeType(click.ParamType[datetime]):
    """An ISO 8601 time; without a zone it is UTC."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the time."""
        try:
            time = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail("a time looks like 2026-11-24T02:00:00Z", param, ctx)
        return time if time.tzinfo else time.replace(tzinfo=UTC)


class DayType(click.ParamType[date]):
    """A day, such as 2026-11-24."""

    name = "day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """Return the day."""
        try:
            return date.fromisoformat(str(value))
        except ValueError:
            self.fail("a day looks like 2026-11-24", param, ctx)


ISPB = IspbType()
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout, and nothing else.")


def environment() -> Environment:
    """The environment variables of this process."""
    return Environment(os.environ)


def database() -> Database:
    """The participant's database."""
    return Database(environment().database_url)


def require_known(ispb: str | None) -> None:
    """Check that an ISPB that was given is registered or has a report; None, which stands for all, is neither.

    Raises:
        UnknownParticipantError: it is a mistake, and an empty answer would hide that.
    """
    if ispb is not None:
        with database().connect() as connection:
            participants.require_known(connection, ispb)


def today() -> date:
    """Today in São Paulo, whose days the partitions are."""
    return day_of(datetime.now(UTC))
