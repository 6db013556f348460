"""What a partition costs: CPU of Dagster's processes and of PostgreSQL, connections, transactions, rows."""

from dataclasses import astuple, dataclass
from typing import Self

import psutil
import psycopg

_COUNTED = "select sum(sessions)::int, sum(xact_commit + xact_rollback)::int from pg_stat_database"


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds of CPU by process, and what PostgreSQL has counted."""

    runs: float
    code_server: float
    daemon: float
    postgresql: float
    connections: float
    transactions: float
    event_rows: float

    @classmethod
    def so_far(cls, url: str) -> Self:
        """Look at the children of this process, and at the server behind a URL."""
        server, daemon = _child("grpc"), _child("dagster-daemon")
        with psycopg.connect(url, autocommit=True) as connection:
            postmaster = psutil.Process(connection.info.backend_pid).parent()
            [(connections, transactions)] = connection.execute(_COUNTED).fetchall()
            [(event_rows,)] = connection.execute("select count(*) from dagster.event_logs").fetchall()
        times = server.cpu_times()
        itself = times.user + times.system
        return cls(
            _tree(server) - itself,
            itself,
            _tree(daemon),
            _tree(postmaster),
            connections,
            transactions,
            event_rows,
        )

    def since(self, earlier: Self, partitions: int) -> Self:
        """Return what was spent since then, for each of so many partitions."""
        pairs = zip(astuple(self), astuple(earlier), strict=True)
        return type(self)(*(round((now - then) / partitions, 2) for now, then in pairs))


def _child(word: str) -> psutil.Process:
    [found] = [one for one in psutil.Process().children() if any(word in part for part in one.cmdline())]
    return found


def _tree(root: psutil.Process) -> float:
    """Seconds of a process and all that came of it: those that live, and those that a parent has waited for."""
    total = 0.0
    for process in [root, *root.children(recursive=True)]:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total
