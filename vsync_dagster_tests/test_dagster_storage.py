"""Dagster's storage on PostgreSQL: what a small participant's sync costs is mostly its connections."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from vsync_dagster.local_db.database import Database

SETTINGS = Path(__file__).parents[1] / "dagster.yaml"
# Dagster's connections carry the schema that is theirs; ours are named.
BACKENDS = """
select pid from pg_stat_activity
where datname = current_database() and backend_type = 'client backend' and application_name <> 'vsync'
"""


@pytest.fixture
def home(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VSYNC_DATABASE_URL", database.url)
    shutil.copyfile(SETTINGS, tmp_path / "dagster.yaml")
    return tmp_path


@pytest.fixture
def instance(home: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(home)) as made:
        yield made


def backends(database: Database) -> list[int]:
    with database.connect() as connection:
        return [pid for (pid,) in connection.execute(BACKENDS)]


def use(instance: dg.DagsterInstance) -> None:
    """Use all three parts of a storage."""
    instance.get_runs()
    instance.all_instigator_state()
    instance.add_dynamic_partitions("ispb", ["12345678"])
    assert instance.get_dynamic_partitions("ispb") == ["12345678"]


def test_another_instance_in_a_process_takes_no_connection_of_its_own(
    database: Database, instance: dg.DagsterInstance, home: Path
) -> None:
    use(instance)
    [held] = backends(database)
    use(instance)
    with dg.DagsterInstance.from_config(str(home)) as another:
        use(another)
    assert backends(database) == [held]


def test_a_connection_that_was_cut_is_made_again(database: Database, instance: dg.DagsterInstance) -> None:
    use(instance)
    [held] = backends(database)
    with database.connect() as connection:
        connection.execute("select pg_terminate_backend(%s)", [held])
    use(instance)
    [now] = backends(database)
    assert now != held
