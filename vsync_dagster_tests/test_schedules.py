"""Participants from the table to runs: on a Dagster instance, with a PostgreSQL."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import dagster as dg
import pytest

from vsync_dagster.definitions import defs
from vsync_dagster.dict_api.budget import CIDS_FILES_WRITE, DOCUMENTED
from vsync_dagster.local_db import participants, reports
from vsync_dagster.local_db.budgets import SharedBudget
from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.errors import DatabaseError
from vsync_dagster.partitions import DIMENSION, open_partitions_for
from vsync_dagster.reconcile.errors import PermanentError
from vsync_dagster.resources import LocalDatabase
from vsync_dagster.schedules import daily_sync, weekly_full_sync
from vsync_dagster.sensors.new_participants import new_participants
from vsync_dagster_tests.local_db.test_reports import REPORT
from vsync_dagster_tests.world import ISPB

OTHER = "87654321"
# 02:00 in São Paulo, where the day is another one than in UTC until 03:00 UTC.
AT_TWO = datetime(2026, 11, 24, 5, tzinfo=UTC)
LATE = datetime(2026, 11, 25, 2, 30, tzinfo=UTC)


@pytest.fixture
def instance(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("VSYNC_DATABASE_URL", database.url)
    with dg.instance_for_test() as running:
        yield running


def register(database: Database, *ispbs: str) -> None:
    with database.connect() as connection:
        for ispb in ispbs:
            participants.add(connection, ispb)


def requests(
    schedule: dg.ScheduleDefinition, instance: dg.DagsterInstance, at: datetime = AT_TWO
) -> list[dg.RunRequest]:
    context = dg.build_schedule_context(
        instance,
        at,
        resources={"local_database": LocalDatabase()},
        repository_def=defs.get_repository_def(),
    )
    return list(schedule.evaluate_tick(context).run_requests or [])


def keys(asked: list[dg.RunRequest]) -> list[str | None]:
    return [request.partition_key for request in asked]


def sense(instance: dg.DagsterInstance) -> str | None:
    context = dg.build_sensor_context(instance, resources={"local_database": LocalDatabase()}, definitions=defs)
    return new_participants.evaluate_tick(context).skip_message


def test_a_participant_that_was_added_is_synced_at_the_next_tick_and_one_that_is_disabled_is_not(
    database: Database, instance: dg.DagsterInstance
) -> None:
    register(database, ISPB)
    assert keys(requests(daily_sync, instance)) == [f"2026-11-24|{ISPB}"]

    register(database, OTHER)
    with database.connect() as connection:
        participants.set_enabled(connection, ISPB, enabled=False)
    assert keys(requests(daily_sync, instance)) == [f"2026-11-24|{OTHER}"]
    assert set(instance.get_dynamic_partitions(DIMENSION)) == {ISPB, OTHER}, "its history stays"

    with database.connect() as connection:
        participants.set_enabled(connection, ISPB, enabled=True)
    assert keys(requests(daily_sync, instance)) == [f"2026-11-24|{ISPB}", f"2026-11-24|{OTHER}"]


def test_the_day_is_that_of_sao_paulo(database: Database, instance: dg.DagsterInstance) -> None:
    register(database, ISPB)
    assert keys(requests(daily_sync, instance, LATE)) == [f"2026-11-24|{ISPB}"]


def test_a_run_is_tagged_with_its_partition_and_has_a_key_of_its_own(
    database: Database, instance: dg.DagsterInstance
) -> None:
    """By the tag of its ISPB the queue starts one run a participant; by its key a repeated tick starts none again."""
    register(database, ISPB)
    [daily] = requests(daily_sync, instance)
    [weekly] = requests(weekly_full_sync, instance)
    assert daily.tags["dagster/partition/ispb"] == ISPB
    assert daily.run_key == requests(daily_sync, instance)[0].run_key
    assert daily.run_key != weekly.run_key
    types = [run.run_config["resources"]["settings"]["config"]["sync_type"] for run in (daily, weekly)]
    assert types == ["INCREMENTAL", "FULL"]


def test_a_full_sync_is_due_a_week_after_the_last_that_did_not_fail(
    database: Database, instance: dg.DagsterInstance
) -> None:
    register(database, ISPB, OTHER, "00000001", "00000002")
    now = datetime.now(UTC)

    def ran(ispb: str, days_ago: int, status: str, sync_type: str = "FULL", *, dry_run: bool = False) -> None:
        at, run_id = now - timedelta(days=days_ago), str(uuid4())
        what = {"status": status, "sync_type": sync_type, "dry_run": dry_run, "sync_timestamp": at}
        report = replace(REPORT, id=uuid4(), run_id=run_id, participant_ispb=ispb, **what)  # type: ignore[arg-type]
        database.retrying(lambda connection: reports.insert(connection, report))

    ran(ISPB, 8, "COMPLETED")
    ran(ISPB, 7, "PARTIAL")
    ran(OTHER, 6, "PARTIAL")
    ran("00000001", 6, "FAILED")
    ran("00000001", 5, "COMPLETED", dry_run=True)
    ran("00000002", 1, "COMPLETED", "INCREMENTAL")
    # Those who were never tried come first.
    assert [request.tags["dagster/partition/ispb"] for request in requests(weekly_full_sync, instance, now)] == [
        "00000002",
        ISPB,
        "00000001",
    ]


def test_each_indirect_participant_has_its_full_sync_by_a_budget_of_its_own(
    database: Database, instance: dg.DagsterInstance
) -> None:
    indirect = [f"{number:08}" for number in range(30)]
    with database.connect() as connection:
        participants.add(connection, ISPB)
        for ispb in indirect:
            participants.add(connection, ispb, via=ISPB)
    SharedBudget(database, ISPB, DOCUMENTED).drained(CIDS_FILES_WRITE)
    SharedBudget(database, indirect[3], DOCUMENTED).drained(CIDS_FILES_WRITE)
    asked = [*indirect[:3], *indirect[4:]]
    assert keys(requests(weekly_full_sync, instance)) == [f"2026-11-24|{ispb}" for ispb in asked]


def test_full_syncs_take_no_more_than_a_shared_budget_grants(database: Database, instance: dg.DagsterInstance) -> None:
    indirect = [f"{number:08}" for number in range(30)]
    with database.connect() as connection:
        participants.add(connection, ISPB)
        for ispb in indirect:
            participants.add(connection, ispb, via=ISPB)
        participants.add(connection, OTHER)
        connection.execute(
            "insert into dict_budget_readings (scope_ispb, subject, shared) values (%s, 'SHARING', true)", [ISPB]
        )
    assert keys(requests(weekly_full_sync, instance)) == [f"2026-11-24|{ispb}" for ispb in [*indirect[:20], OTHER]]
    budget = SharedBudget(database, ISPB, DOCUMENTED)
    budget.take(CIDS_FILES_WRITE, 61)
    assert keys(requests(weekly_full_sync, instance)) == [f"2026-11-24|{ispb}" for ispb in [*indirect[:7], OTHER]]


def test_when_they_run() -> None:
    assert (daily_sync.cron_schedule, weekly_full_sync.cron_schedule) == ("0 2 * * *", "0 4 * * *")
    for schedule in (daily_sync, weekly_full_sync):
        assert schedule.execution_timezone == "America/Sao_Paulo"
        assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING


def test_the_sensor_opens_partitions_and_takes_none_back(database: Database, instance: dg.DagsterInstance) -> None:
    register(database, ISPB)
    assert sense(instance) == f"opened the partitions of {ISPB}"
    assert sense(instance) == "no new participant"
    with database.connect() as connection:
        participants.set_enabled(connection, ISPB, enabled=False)
    assert sense(instance) == "no new participant"
    assert instance.get_dynamic_partitions(DIMENSION) == [ISPB]


def test_a_table_that_cannot_be_read_changes_nothing(database: Database, instance: dg.DagsterInstance) -> None:
    register(database, ISPB)
    sense(instance)
    database.retrying(lambda connection: connection.execute("alter table participants rename to away"))
    with pytest.raises(DatabaseError):
        sense(instance)
    with pytest.raises(dg.DagsterUserCodeExecutionError) as failed:
        requests(daily_sync, instance)
    assert isinstance(failed.value.user_exception, DatabaseError)
    assert instance.get_dynamic_partitions(DIMENSION) == [ISPB]


@pytest.mark.parametrize("ispb", ["1234567", "123456789", "1234567-", "1234567á", "1234|678", "١٢٣٤٥٦٧٨", ""])
def test_only_eight_digits_or_letters_become_a_partition(instance: dg.DagsterInstance, ispb: str) -> None:
    with pytest.raises(PermanentError, match="eight digits"):
        open_partitions_for(instance, [ISPB, ispb])
    assert instance.get_dynamic_partitions(DIMENSION) == []


def test_two_spellings_of_an_ispb_do_not_become_two_partitions(instance: dg.DagsterInstance) -> None:
    """On a file system that does not tell the cases apart, their snapshots would be in one folder."""
    for ispbs in (["ABCD1234", "abcd1234"], ["abcd1234"]):
        open_partitions_for(instance, ["ABCD1234"])
        with pytest.raises(PermanentError, match="upper and lower case differ"):
            open_partitions_for(instance, ispbs)
        assert instance.get_dynamic_partitions(DIMENSION) == ["ABCD1234"]


def test_a_tick_asks_for_participants_with_letters_as_they_were_registered(
    database: Database, instance: dg.DagsterInstance
) -> None:
    register(database, "abcd1234", "ABCD5678")
    assert sense(instance) == "opened the partitions of ABCD5678, abcd1234"
    assert keys(requests(daily_sync, instance)) == ["2026-11-24|ABCD5678", "2026-11-24|abcd1234"]
    assert keys(requests(weekly_full_sync, instance)) == ["2026-11-24|ABCD5678", "2026-11-24|abcd1234"]


def test_a_tick_asks_for_300_participants(database: Database, instance: dg.DagsterInstance) -> None:
    ispbs = [f"{number:08}" for number in range(300)]
    register(database, *ispbs)
    assert keys(requests(daily_sync, instance)) == [f"2026-11-24|{ispb}" for ispb in ispbs]


_SHOW = """
from vsync_dagster.partitions import days
from vsync_dagster.schedules import daily_sync, weekly_full_sync
print(days.get_first_partition_key(), daily_sync.cron_schedule, weekly_full_sync.cron_schedule, sep=";")
"""


def test_the_environment_says_when_and_from_which_day_on() -> None:
    given = {"VSYNC_FIRST_DAY": "2026-06-01", "VSYNC_DAILY_CRON": "30 1 * * *", "VSYNC_WEEKLY_CRON": "0 5 * * 6"}
    shown = subprocess.run(
        [sys.executable, "-c", _SHOW], env={**os.environ, **given}, capture_output=True, text=True, check=True
    )
    assert shown.stdout == "2026-06-01;30 1 * * *;0 5 * * 6\n"
    wrong = subprocess.run(
        [sys.executable, "-c", _SHOW],
        env={**os.environ, "VSYNC_FIRST_DAY": "June"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "VSYNC_FIRST_DAY is malformed; it is a day, such as 2026-01-01" in wrong.stderr
