"""A typing mistake on the command line: one line, exit 64, and nothing left behind."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from vsync_dagster.cli.sync import check_configured
from vsync_dagster.environment import Environment
from vsync_dagster.reconcile.calendar import day_of
from vsync_dagster.reconcile.errors import EnvironmentVariableError
from vsync_dagster_tests.cli.conftest import Command
from vsync_dagster_tests.marks import marks
from vsync_dagster_tests.world import ISPB, World

MALFORMED = {
    "VSYNC_DATABASE_URL": "mysql://host/name",
    "VSYNC_RETENTION_DATABASE_URL": "mysql://host/name",
    "VSYNC_DAGSTER_DATABASE_URL": "mysql://host/name",
    "VSYNC_DICT_URL": "ftp://host",
    "VSYNC_ENCRYPTION_KEYS": "short",
    "VSYNC_PULSAR_URL": "http://host",
    "VSYNC_FIRST_DAY": "yesterday",
    "VSYNC_DAILY_CRON": "at two",
    "VSYNC_WEEKLY_CRON": "0 4 * *",
    "VSYNC_LEASE_SECONDS": "0",
    "VSYNC_LEASE_WAIT_SECONDS": "an hour",
    "VSYNC_BUDGET_WAIT_SECONDS": "-1",
    "VSYNC_ALERT_URLS": "urgent=slack://a/b/c",
    "VSYNC_ALERT_REPEAT_HOURS": "0",
    "VSYNC_ALERTMANAGER_URL": "host:9093",
    "VSYNC_DAGSTER_URL": "host",
    "VSYNC_NOT_ANSWERED_WARNING_HOURS": "40",
    "VSYNC_NOT_ANSWERED_CRITICAL_HOURS": "40",
    "VSYNC_NOT_OK_HOURS": "x",
    "VSYNC_NOT_READ_WHOLE_HOURS": "x",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_every_malformed_variable_is_refused_by_name(world: World, name: str) -> None:
    given = {**world.variables.variables, name: MALFORMED[name]}
    with pytest.raises(EnvironmentVariableError, match=re.sub("(WARNING|CRITICAL)_HOURS", "", name)) as raised:
        check_configured(Environment(given))
    assert len(str(raised.value).splitlines()) == 1
    if "://" in MALFORMED[name]:
        assert MALFORMED[name] not in str(raised.value), "it can hold a secret"


@pytest.mark.parametrize("name", ["VSYNC_DAILY_CRON", "VSYNC_FIRST_DAY", "VSYNC_LEASE_SECONDS"])
def test_a_malformed_variable_is_one_line_and_leaves_nothing(world: World, synced: Command, name: str) -> None:
    ran = synced("sync", "--ispb", ISPB, **{name: MALFORMED[name]})

    assert (ran.status, ran.out) == (64, "")
    assert ran.err.startswith(f"vsync: {name} is malformed; ")
    assert len(ran.err.splitlines()) == 1
    assert marks(world) == []


@pytest.mark.parametrize("ispb", ["12345687", "00000000"])
def test_a_mistyped_ispb_is_one_line_and_leaves_nothing(world: World, synced: Command, ispb: str) -> None:
    ran = synced("sync", "--ispb", ispb)

    assert (ran.status, ran.out) == (64, "")
    said = f"participant {ispb} is not registered: run `vsync participants add {ispb}`"
    assert ran.err == f"vsync: {said} (see docs/messages.md#participant-unknown)\n"
    assert marks(world) == []


@pytest.mark.parametrize(("days", "said"), [(1, "has not begun: today is"), (-10_000, "is before 2026-01-01")])
def test_a_day_without_a_partition_is_one_line_and_leaves_nothing(
    world: World, synced: Command, days: int, said: str
) -> None:
    day = day_of(datetime.now(UTC)) + timedelta(days=days)
    ran = synced("sync", "--ispb", ISPB, "--day", day.isoformat())

    assert (ran.status, ran.out) == (64, "")
    [line] = ran.err.splitlines()
    assert said in line
    assert marks(world) == []


@pytest.mark.parametrize("name", ["VSYNC_STORAGE_URL", "VSYNC_HOME"])
def test_a_storage_that_cannot_be_written_is_one_line_and_leaves_nothing(
    world: World, synced: Command, name: str
) -> None:
    ran = synced("sync", "--ispb", ISPB, **{name: "/dev/null/snapshots"})

    assert (ran.status, ran.out) == (64, "")
    [line] = ran.err.splitlines()
    assert line.startswith("vsync: the storage of snapshots cannot be written (NotADirectoryError")
    assert name in line
    assert marks(world) == []


def test_a_verification_of_a_participant_that_is_not_registered_asks_nothing(world: World, synced: Command) -> None:
    ran = synced("verify", "--ispb", "12345687")

    assert (ran.status, len(ran.err.splitlines())) == (64, 1)
    assert marks(world) == []
