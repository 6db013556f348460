"""How this application connects to PostgreSQL: timeouts, UTC, and which errors are worth another try."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypeVar
from urllib.parse import quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential, wait_random

from vsync_dagster.local_db.errors import PoolerRefusedError, connection_failure, database_errors
from vsync_dagster.progress import log_retries
from vsync_dagster.reconcile.errors import PermanentError, TransientError

_log = logging.getLogger(__name__)

Connection = psycopg.Connection[TupleRow]
Result = TypeVar("Result")

CONNECT_TIMEOUT_S = 10
STATEMENT_TIMEOUT_MS = 10_000
# Less than a statement may take, so that the error says that another session holds a lock.
LOCK_TIMEOUT_MS = 8_000
# A process that stands still (stopped, or paused with its machine) keeps the rows locked that it was about to write:
# after so long the server ends its session.
STANDSTILL_MS = 60_000
# For whole populations: of two connections that read together, one may wait for the other.
_BULK_MS = 600_000
_SESSION_IDLE_S = 10.0

# Whatever a role, a database or a URL may have set otherwise, and what reads or writes differently by it.
_SETTINGS = {
    "bytea_output": "hex",
    "DateStyle": "ISO, YMD",
    "default_transaction_isolation": "read committed",
    "extra_float_digits": "1",
    "IntervalStyle": "postgres",
    "search_path": "public",
    "standard_conforming_strings": "on",
    "TimeZone": "UTC",
    "transform_null_equals": "off",
}
_SESSION = """
select pg_backend_pid(), count(set_config(name, value, false)) from unnest(%s::text[], %s::text[]) as s (name, value)
"""

# The client notices in a minute that a server is gone; without these, the operating system takes hours.
_KEEPALIVE = {
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}


@dataclass(frozen=True, slots=True)
class Database:
    """A PostgreSQL server and database. The URL can hold a password: it is in no repr and no error.

    `variable` is the environment variable that the URL is from, for errors. `guard`, where there is one, is the
    first that every transaction of `retrying` does, and may refuse it.

    Raises:
        PermanentError: the URL is not a `postgresql://` URL.
    """

    url: str = field(repr=False)
    guard: Callable[[Connection], None] | None = field(default=None, repr=False)
    variable: str = "VSYNC_DATABASE_URL"

    def __post_init__(self) -> None:
        if not self.url.startswith(("postgresql://", "postgres://")) or not _is_conninfo(self.url):
            raise PermanentError(
                "VSYNC_DATABASE_URL is not a URL such as postgresql://user:password@host:5432/name",
                code="environment-variable",
            )

    def as_person(self, name: str, password: str) -> "Database":
        """Return the same database as a person connects to it, by a password that the server must ask for.

        Nothing of the URL's own login is left: a server that lets it in without a password (trust, peer, a client
        certificate) lets nobody else in by its side.

        Raises:
            PermanentError: name or password are empty, or cannot be sent.
        """
        if not name or not password or "\0" in name + password:
            # An empty one would be looked for in PGPASSWORD and ~/.pgpass.
            raise PermanentError("a person logs in with a name and a password", code="login")
        known = conninfo_to_dict(self.url)
        person = {"user": name, "password": password, "dbname": known.get("dbname") or known.get("user")}
        chosen = {**known, **person, "require_auth": "password,md5,scram-sha-256"}
        parameters = urlencode({key: value for key, value in chosen.items() if value is not None}, quote_via=quote)
        return Database(f"postgresql:///?{parameters}")

    def unguarded(self) -> "Database":
        """Return the same database without its guard."""
        return replace(self, guard=None)

    @contextmanager
    def connect(self, *, bulk: bool = False) -> Iterator[Connection]:
        """Open a connection; leaving the block commits, an error in it rolls back.

        A statement may take 10 s. `bulk` lifts that limit, for reads and writes of whole populations.

        Raises:
            DatabaseUnavailableError: no connection, or it was lost.
            DatabaseLoginError: the server does not let this login into this database.
            DatabaseError: the server refuses a statement made inside the block.
        """
        with database_errors(), self.open(bulk=bulk) as conn:
            yield conn

    def open(self, *, bulk: bool = False) -> Connection:
        """Open a connection as `connect` does; closing it, and psycopg's errors from then on, are the caller's.

        Raises:
            DatabaseUnavailableError, DatabaseLoginError: it cannot be opened.
        """
        defaults = {"application_name": "vsync", "connect_timeout": str(CONNECT_TIMEOUT_S), **_KEEPALIVE}
        chosen: dict[str, Any] = {**defaults, **conninfo_to_dict(self.url), "client_encoding": "utf8"}
        try:
            conn = psycopg.connect(make_conninfo(**chosen))
        except psycopg.Error as error:
            raise connection_failure(str(error), self.variable) from None
        try:
            _set_up(conn, bulk)
            conn.commit()
        except BaseException:
            conn.close()
            raise
        return conn

    def sqlalchemy_url(self, schema: str) -> str:
        """Return a URL for SQLAlchemy, whose tables are then in `schema`.

        SQLAlchemy reads fewer forms of a URL than `connect`, which takes several hosts, service files and options.
        """
        known = {name: value for name, value in conninfo_to_dict(self.url).items() if value is not None}
        user, password, database = (quote(str(known.pop(name, "")), safe="") for name in ("user", "password", "dbname"))
        known["options"] = f"{known.get('options', '')} -csearch_path={schema}".lstrip()
        login = f"{user}:{password}@" if password else f"{user}@" if user else ""
        return f"postgresql://{login}/{database}?{urlencode(known, quote_via=quote)}"

    def retrying(
        self,
        operation: Callable[[Connection], Result],
        *,
        attempts: int = 5,
        sleep: Callable[[float], None] = time.sleep,
        bulk: bool = False,
    ) -> Result:
        """Run an operation in one transaction, on a new connection each time that it fails in passing.

        A connection can be lost while its commit is under way: the operation must bear being run twice.

        Raises:
            TransientError: the last attempt failed too.
            PermanentError: at once, where another attempt would not help.
        """
        result: Result = retry_transient(attempts, sleep)(self._once, operation, bulk)
        return result

    def retrying_each(self, operations: Iterable[Callable[[Connection], Result]], at_once: int) -> Iterator[Result]:
        """Run operations as `retrying` does, `at_once` of them at a time, and yield the results in their order.

        The next operation is asked for in this thread, while those before it run. When one fails no further ones are
        begun, and those under way are waited for.

        Raises:
            TransientError, PermanentError: as `retrying` does.
        """
        running: deque[Future[Result]] = deque()
        with ThreadPoolExecutor(at_once, thread_name_prefix="transaction") as pool:
            for operation in operations:
                running.append(pool.submit(self.retrying, operation))
                if len(running) == at_once:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()

    def _once(self, operation: Callable[[Connection], Result], bulk: bool) -> Result:
        with self.connect(bulk=bulk) as conn:
            if self.guard is not None:
                self.guard(conn)
            return operation(conn)


class Session:
    """Transactions over one connection, one at a time, for whoever has many short ones. Safe for threads.

    The connection is opened when it is needed, and anew after a failure or some seconds without use: a firewall or a
    pooler may have forgotten it. Leaving the block closes it.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._used_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._close()

    def retrying(
        self,
        operation: Callable[[Connection], Result],
        *,
        attempts: int = 5,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Result:
        """Run an operation in one transaction, as `Database.retrying` does."""
        result: Result = retry_transient(attempts, sleep)(self._once, operation)
        return result

    def _once(self, operation: Callable[[Connection], Result]) -> Result:
        with self._lock:
            try:
                with database_errors():
                    return self._run(operation)
            except BaseException:
                self._close()
                raise
            finally:
                self._used_at = self._clock()

    def _run(self, operation: Callable[[Connection], Result]) -> Result:
        if self._connection is None or self._clock() - self._used_at > _SESSION_IDLE_S:
            self._close()
            self._connection = self._database.open()
        with self._connection.transaction():
            if self._database.guard is not None:
                self._database.guard(self._connection)
            return operation(self._connection)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def retry_transient(attempts: int = 5, sleep: Callable[[float], None] = time.sleep) -> Retrying:
    """Return what calls a function again after a TransientError, with growing pauses and jitter.

    For a read that takes its own connections; `Database.retrying` is for one transaction.
    """
    return Retrying(
        retry=retry_if_exception_type(TransientError),
        stop=stop_after_attempt(attempts),
        wait=wait_exponential(multiplier=0.2, max=5) + wait_random(0, 0.2),
        sleep=sleep,
        before_sleep=log_retries(_log, attempts),
        reraise=True,
    )


def _set_up(conn: Connection, bulk: bool) -> None:
    """Set all that our statements rely on, whatever the role's or the database's own settings are.

    Raises:
        PoolerRefusedError: a pooler stands between us and the server.
    """
    standstill = str(_BULK_MS if bulk else STANDSTILL_MS)
    settings = {
        **_SETTINGS,
        "lock_timeout": str(_BULK_MS if bulk else LOCK_TIMEOUT_MS),
        "idle_in_transaction_session_timeout": standstill,
        "statement_timeout": "0" if bulk else str(STATEMENT_TIMEOUT_MS),
        "tcp_user_timeout": standstill,
    }
    [(process, _)] = conn.execute(_SESSION, [list(settings), list(settings.values())]).fetchall()
    # A pooler makes up the process id that it hands out when a client connects.
    if process != conn.info.backend_pid:
        conn.rollback()
        raise PoolerRefusedError(
            "a connection pooler (such as PgBouncer) stands between VSYNC and PostgreSQL: name the server itself in the"
            " URL, since VSYNC's session settings and locks would reach other clients of the pooler"
        )


def _is_conninfo(url: str) -> bool:
    try:
        conninfo_to_dict(url)
    except psycopg.Error:
        return False
    return True
