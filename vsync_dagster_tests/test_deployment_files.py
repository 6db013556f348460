"""dagster.yaml on the embedded PostgreSQL, workspace.yaml, and what the lock file promises."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import psycopg
import pytest
from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from vsync_dagster.embedded.postgres import embedded_postgres
from vsync_dagster.environment import DAGSTER_SCHEMA, Environment
from vsync_dagster.reconcile.errors import EnvironmentVariableError

ROOT = Path(__file__).parents[1]
ISPB = "00416968"

days = dg.DailyPartitionsDefinition("2026-11-01", end_offset=1)
participants = dg.DynamicPartitionsDefinition(name="ispb")


@dg.asset(partitions_def=dg.MultiPartitionsDefinition({"date": days, "ispb": participants}))
def numbers() -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata={"count": 7})


@pytest.fixture(scope="module")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with embedded_postgres(tmp_path_factory.mktemp("home"), keep=False) as url:
        with psycopg.connect(url) as connection:
            connection.execute(f"CREATE SCHEMA {DAGSTER_SCHEMA}")
        yield url


@pytest.fixture
def instance(server_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("VSYNC_DATABASE_URL", server_url)
    with dg.DagsterInstance.from_config(str(ROOT), "dagster.yaml") as instance:
        yield instance


def test_a_run_is_stored_in_a_schema_of_its_own(instance: dg.DagsterInstance, server_url: str) -> None:
    partition = dg.MultiPartitionKey({"date": "2026-11-24", "ispb": ISPB})
    instance.add_dynamic_partitions("ispb", [ISPB])
    result = dg.materialize([numbers], instance=instance, partition_key=partition)
    records = instance.fetch_materializations(numbers.key, limit=1).records
    assert [record.partition_key for record in records] == [partition]
    assert instance.get_run_by_id(result.run_id) is not None
    assert instance.all_instigator_state() == []
    with psycopg.connect(server_url) as connection:
        schemas = connection.execute(
            "SELECT table_schema, count(*) FROM information_schema.tables"
            " WHERE table_schema IN ('public', %s) GROUP BY 1",
            (DAGSTER_SCHEMA,),
        ).fetchall()
        stamps = connection.execute("SELECT count(*) FROM dagster.alembic_version").fetchone()
    assert [schema for schema, _ in schemas] == [DAGSTER_SCHEMA]
    assert stamps == (1,)
    for storage in (instance.run_storage, instance.event_log_storage, instance.schedule_storage):
        current, newest = storage.alembic_version()  # type: ignore[misc, union-attr]
        assert current == newest


def test_the_webserver_can_read_it(instance: dg.DagsterInstance) -> None:
    # It keeps connections open and prepares each by a statement, which psycopg 3 would close.
    instance.optimize_for_webserver(statement_timeout=5_000, pool_recycle=3_600, max_overflow=20)
    assert isinstance(instance.get_runs_count(), int)
    assert isinstance(instance.all_asset_keys(), (list, tuple, set))
    assert instance.all_instigator_state() == []


def test_a_participant_is_synced_once_at_a_time(instance: dg.DagsterInstance) -> None:
    configuration = instance.get_concurrency_config()
    assert configuration.run_queue_config is not None
    assert {
        "key": "dagster/partition/ispb",
        "value": {"applyLimitPerUniqueValue": True},
        "limit": 1,
    } in configuration.run_queue_config.tag_concurrency_limits
    assert configuration.pool_config.pool_granularity is not None
    assert configuration.pool_config.pool_granularity.value == "run"


def test_runs_are_watched_and_only_lost_ones_start_again(instance: dg.DagsterInstance) -> None:
    assert instance.run_monitoring_enabled
    assert instance.run_monitoring_max_runtime_seconds == 24 * 60 * 60
    assert instance.run_retries_enabled
    assert not instance.run_retries_retry_on_asset_or_op_failure


def test_nothing_leaves_the_machine_and_no_output_is_kept(instance: dg.DagsterInstance) -> None:
    assert not instance.telemetry_enabled
    assert not instance.nux_enabled
    assert isinstance(instance.compute_log_manager, NoOpComputeLogManager)
    assert instance.managed_python_loggers == ["vsync_dagster"]


def test_the_storage_can_be_another_database(server_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VSYNC_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nowhere")
    monkeypatch.setenv(
        "VSYNC_DAGSTER_DATABASE_URL", Environment({"VSYNC_DATABASE_URL": server_url}).dagster_database_url
    )
    with dg.DagsterInstance.from_config(str(ROOT), "dagster.yaml") as instance:
        assert isinstance(instance.get_runs_count(), int)


def test_a_malformed_variable_is_named_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VSYNC_DATABASE_URL", "mysql://u:geheim@h/d")
    with pytest.raises(EnvironmentVariableError, match="VSYNC_DATABASE_URL") as error:
        dg.DagsterInstance.from_config(str(ROOT), "dagster.yaml").__enter__()
    assert "geheim" not in str(error.value)


def test_the_workspace_loads_where_it_lies_with_no_variable_set() -> None:
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("VSYNC_", "DAGSTER_"))}
    command = [sys.executable, "-m", "dagster", "definitions", "validate", "-w", "workspace.yaml"]
    result = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    assert "VSYNC_DATABASE_URL is not set" in result.stdout + result.stderr


def test_the_lock_file_pins_everything_and_says_nothing_of_where_from() -> None:
    lines = (ROOT / "requirements.lock").read_text("utf-8").splitlines()
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[^ ]+( ; .+)?", line)] == []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    locked = {line.split("==")[0]: line.split("==")[1].split(" ")[0] for line in lines}
    wanted = [Requirement(text) for text in (*project["dependencies"], *project["optional-dependencies"]["dev"])]
    missing = [each for each in wanted if not each.specifier.contains(locked.get(canonicalize_name(each.name), "0"))]
    assert missing == [], "run `make lock`"
