"""Dagster's own storage, configured by the environment (named in `dagster.yaml`)."""

import atexit
import functools
import logging
import os
import shutil
import tempfile
from typing import Any

from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage
from sqlalchemy import URL, Engine, create_engine

from vsync_dagster.environment import Environment
from vsync_dagster.local_db.database import Database

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
            PermanentError: a connection pooler stands before the server.
            DatabaseUnavailableError: the server does not answer.
        """
        variables = Environment(os.environ)
        if variables.has_database:
            with Database(variables.dagster_database_url).connect():
                # Refuses a pooler, which would drop the schema from the URL: Dagster's tables would come into `public`.
                pass
            return _holding_its_connection(DagsterPostgresStorage(variables.dagster_database_url, inst_data=inst_data))
        _log.warning("VSYNC_DATABASE_URL is not set: Dagster keeps nothing beyond this process")
        # Until the process ends: Dagster holds on to the parts of a storage, not to the storage.
        folder = tempfile.mkdtemp(prefix="vsync-dagster-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        return DagsterSqliteStorage(folder, inst_data)


def _holding_its_connection(storage: DagsterPostgresStorage) -> DagsterPostgresStorage:
    """Let a storage's parts share this process's engine.

    By themselves they connect anew for every statement or two: a sync of a small participant took two hundred
    connections, which was most of its time.
    """
    for part in (storage.event_log_storage, storage.run_storage, storage.schedule_storage):
        # Nothing public sets it but for the webserver, and that without the look whether a connection still stands.
        part._engine = _engine(part._engine.url)  # type: ignore[union-attr]  # noqa: SLF001
    return storage


@functools.cache
def _engine(url: URL) -> Engine:
    """One a process and database, however many instances are made: it holds two connections; others close after use.

    Two, because Dagster asks in a second one while the first writes to its index what became of an asset.
    """
    return create_engine(url, isolation_level="AUTOCOMMIT", pool_size=2, max_overflow=-1, pool_pre_ping=True)
