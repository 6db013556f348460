"""The clean-up of what syncs leave behind, as the login that may do nothing else."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from vsync_dagster.definitions import defs
from vsync_dagster.local_db import roles
from vsync_dagster.local_db.database import Database
from vsync_dagster.reconcile.calendar import TIMEZONE
from vsync_dagster.retention import Retention, RetentionSettings
from vsync_dagster.store import SnapshotStore
from vsync_dagster_tests.logins import login_with
from vsync_dagster_tests.world import World


def clean_up(world: World, login: Database, now: datetime) -> Retention:
    store = SnapshotStore(world.variables.storage_url)
    return Retention(RetentionSettings(), login, store, world.instance, now)


def test_snapshots_go_after_a_month_and_runs_after_a_year(world: World) -> None:
    world.populate(5)
    report = world.sync("FULL", day=datetime.now(ZoneInfo(TIMEZONE)).date())
    now = datetime.now(UTC)
    with login_with(world.database, roles.RETENTION) as login:
        assert set(clean_up(world, login, now).due().values()) == {0}
        in_a_month = clean_up(world, login, now + timedelta(days=32))
        assert in_a_month.due()["snapshots"] > 0
        assert in_a_month.due()["runs"] == 0
        assert dict(in_a_month.delete())["snapshots"] > 0
        assert in_a_month.due()["snapshots"] == 0
        in_a_year = clean_up(world, login, now + timedelta(days=366))
        assert in_a_year.due()["runs"] == 1
        assert dict(in_a_year.delete())["runs"] == 1
    assert world.instance.get_run_by_id(report.run_id) is None
    assert world.sql("select count(*) from sync_reports") == [(1,)], "reports stay, whatever day it is here"


def test_the_job_says_what_it_deleted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.sql("insert into outbox (participant_ispb, event_type, payload, published_at)"
              " values ('12345678', 'x', '{}', now() - interval '91 days')")  # fmt: skip
    with login_with(world.database, roles.RETENTION) as login:
        monkeypatch.setenv("VSYNC_RETENTION_DATABASE_URL", login.url)
        result = defs.resolve_job_def("retention_job").execute_in_process(instance=world.instance)
    assert result.success
    [output] = [event for event in result.all_node_events if event.is_successful_output]
    metadata = output.step_output_data.metadata
    assert metadata["outbox"] == dg.MetadataValue.int(1)
    assert metadata["sync_reports"] == dg.MetadataValue.int(0)


def test_the_applications_own_login_may_not(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with login_with(world.database, roles.APPLICATION) as login:
        monkeypatch.setenv("VSYNC_DATABASE_URL", login.url)
        result = defs.resolve_job_def("retention_job").execute_in_process(instance=world.instance, raise_on_error=False)
    assert not result.success
