"""Dagster's own storage, configured by the environment (named in `dagster.yaml`)."""

import atexit
import logging
import os
import shutil
import tempfile
from typing import Any

from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage

from vsync_dagster.environment import Environment

_log = logging.getLogger(__name__)


class EnvironmentStorage(DagsterPostgresStorage):
    """PostgreSQL at `VSYNC_DAGSTER_DATABASE_URL`, by default a schema of its own in `VSYNC_DATABASE_URL`.

    Dagster's own `env:` fails where the variable is not set, and Dagster reads `dagster.yaml` even to validate
    definitions, which must need no variable. Without any, what Dagster keeps goes to a folder that is deleted with the
    process: enough to look at the definitions, not to run them.
    """

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Nothing is configured in `dagster.yaml`."""
        return {}

    @classmethod
    def from_config_value(  # type: ignore[override]
        cls,
        inst_data: ConfigurableClassData | None,
        config_value: dict[str, Any],  # noqa: ARG003 - empty
    ) -> DagsterStorage:
        """Return the storage.

        Raises:
            EnvironmentVariableError: a variable is set, and malformed.
        """
        variables = Environment(os.environ)
        if variables.has_database:
            return DagsterPostgresStorage(variables.dagster_database_url, inst_data=inst_data)
        _log.warning("VSYNC_DATABASE_URL is not set: Dagster keeps nothing beyond this process")
        # Until the process ends: Dagster holds on to the parts of a storage, not to the storage.
        folder = tempfile.mkdtemp(prefix="vsync-dagster-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        return DagsterSqliteStorage(folder, inst_data)
