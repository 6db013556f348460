"""The state file: SQLite in WAL mode, shared by threads and processes."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vsync_dagster.simulator import schema
from vsync_dagster.simulator.errors import SimulatorStateError

_BUSY_SECONDS = 30.0


class StateFile:
    """Opens the state file, making it where there is none; each thread gets a connection of its own."""

    def __init__(self, path: Path) -> None:
        """Open or make the file.

        Raises:
            SimulatorStateError: the file was made by another version of the simulator.
        """
        self.path = path
        self._local = threading.local()
        self._lock = threading.Lock()
        self._opened: list[sqlite3.Connection] = []
        path.parent.mkdir(parents=True, exist_ok=True)
        with self.writing() as connection:
            _create(connection, path)

    @property
    def connection(self) -> sqlite3.Connection:
        """This thread's connection, in autocommit mode."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._open()
            self._local.connection = connection
            with self._lock:
                self._opened.append(connection)
        return connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction that holds the file's only write lock from its start: what it reads stays true."""
        connection = self.connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.rollback()
            raise
        connection.commit()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One consistent read."""
        connection = self.connection
        connection.execute("BEGIN")
        try:
            yield connection
        finally:
            connection.rollback()

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """One consistent read over a connection of its own, for what is streamed while others write."""
        connection = self._open()
        try:
            # A writer that took its timestamp may not have committed yet: wait it out, then look.
            connection.execute("BEGIN IMMEDIATE")
            connection.commit()
            connection.execute("BEGIN")
            yield connection
        finally:
            connection.close()

    def close(self) -> None:
        """Close every thread's connection; the object must not be used afterwards."""
        with self._lock:
            for connection in self._opened:
                connection.close()
            self._opened.clear()

    def _open(self) -> sqlite3.Connection:
        # check_same_thread: close() runs in one thread and closes the connections of all.
        connection = sqlite3.connect(self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA cache_size = -65536")
        return connection


def _create(connection: sqlite3.Connection, path: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == schema.VERSION:
        return
    if version != 0:
        raise SimulatorStateError(f"{path} was made by another version of the simulator; delete it")
    for statement in schema.STATEMENTS:
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {schema.VERSION}")
