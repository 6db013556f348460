"""What a sync leaves behind, wherever that is: for tests of what must leave nothing."""

import os
from pathlib import Path

from vsync_dagster_tests.world import World

_TABLES = (
    "sync_reports",
    "sync_leases",
    "sync_lease_history",
    "evidence_chains",
    "alerts",
    "outbox",
    "dict_calls",
    "sync_state",
    "mass_changes",
)
_PARTITIONS = "select partition from dagster.dynamic_partitions"


def marks(world: World) -> list[str]:
    """Return what is there: tables with rows, partitions that Dagster knows, files of snapshots and spooled reports."""
    found = [table for table in _TABLES if world.sql(f"select 1 from {table} limit 1")]  # noqa: S608 - our own names
    found += [f"partition {key}" for key in world.instance.get_dynamic_partitions("ispb")]
    if world.sql("select 1 from pg_tables where schemaname = 'dagster' and tablename = 'dynamic_partitions'"):
        found += [f"partition {key}" for (key,) in world.sql(_PARTITIONS)]
    home = Path(os.environ["VSYNC_HOME"])
    return found + [str(path) for path in home.rglob("*") if path.is_file() and "dagster" not in path.parts]
