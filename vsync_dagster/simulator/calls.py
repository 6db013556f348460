"""How often each operation was answered, so that a test can tell what it cost."""

from vsync_dagster.simulator.database import StateFile
from vsync_dagster.simulator.operations import Operation


class Calls:
    """Counts of answered calls, by operation, participant that asked (empty if unknown) and HTTP status."""

    def __init__(self, file: StateFile) -> None:
        self._file = file

    def count(self, operation: Operation, participant: str, status: int) -> None:
        """Count one answer."""
        self._file.connection.execute(
            "INSERT INTO calls VALUES (?, ?, ?, 1)"
            " ON CONFLICT (operation, participant, status) DO UPDATE SET count = count + 1",
            (operation, participant, status),
        )

    def total(self, operation: Operation, *, participant: str | None = None, status: int | None = None) -> int:
        """Return how often an operation was answered, to one participant or with one status if so asked."""
        found = self._file.connection.execute(
            "SELECT coalesce(sum(count), 0) FROM calls WHERE operation = ?1"
            " AND (?2 IS NULL OR participant = ?2) AND (?3 IS NULL OR status = ?3)",
            (operation, participant, status),
        ).fetchone()
        return int(found[0])

    def clear(self) -> None:
        """Start counting again."""
        self._file.connection.execute("DELETE FROM calls")
