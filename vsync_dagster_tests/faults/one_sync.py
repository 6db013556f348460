"""One sync in a process of its own, for tests that kill it: `python -m vsync_dagster_tests.faults.one_sync TYPE`.

Says `ready` when it begins, and the report's status when it ends; its progress is on stderr.
"""

import os
import sys
from contextlib import AbstractContextManager

import dagster as dg

from vsync_dagster.cli.progress import show_progress
from vsync_dagster.environment import Environment
from vsync_dagster.launch import Launcher
from vsync_dagster.partitions import SyncPartition
from vsync_dagster.resources import SyncSettings
from vsync_dagster_tests.world import DAY, ISPB, LAG


def _ephemeral(_: Environment) -> AbstractContextManager[dg.DagsterInstance]:
    return dg.DagsterInstance.ephemeral()


def main() -> None:
    """Sync the world's participant."""
    show_progress("INFO")
    ispb = sys.argv[2] if len(sys.argv) > 2 else ISPB
    settings = SyncSettings(sync_type=sys.argv[1], log_lag_seconds=LAG, batch_size=20)
    print("ready", flush=True)  # noqa: T201
    report = Launcher(Environment(os.environ), _ephemeral).sync(SyncPartition(DAY, ispb), settings)
    print(report.status, report.error_message, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
