"""The CID set of a participant and key type: its VSync, its size, and the log of what came and went."""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from vsync_dagster.reconcile.cid import CID_BYTES
from vsync_dagster.simulator.errors import DictRuleError


class LogRow(NamedTuple):
    """A row of `cid_events`; `vsync` is the set's VSync after the event."""

    set_id: int
    at: int
    type: str
    cid: bytes
    vsync: bytes


@dataclass(slots=True)
class CidSet:
    """The running state of a CID set; `last_event_at` is in milliseconds, 0 before the first event."""

    id: int
    participant: str
    key_type: str
    vsync: bytes
    size: int
    last_event_at: int

    def moment(self, now_ms: int) -> int:
        """Return the time stamp of an event that happens now: a log never goes back in time."""
        return max(now_ms, self.last_event_at)

    def add(self, cid: bytes) -> None:
        """Take a CID into the set."""
        self._toggle(cid)
        self.size += 1

    def remove(self, cid: bytes) -> None:
        """Take a CID out of the set."""
        self._toggle(cid)
        self.size -= 1

    def logged(self, event_type: str, cid: bytes, at: int) -> LogRow:
        """Return the log's row for a change just made."""
        self.last_event_at = at
        return LogRow(self.id, at, event_type, cid, self.vsync)

    def _toggle(self, cid: bytes) -> None:
        toggled = int.from_bytes(self.vsync) ^ int.from_bytes(cid)
        self.vsync = toggled.to_bytes(CID_BYTES)


def find(connection: sqlite3.Connection, participant: str, key_type: str) -> CidSet | None:
    """Return the set, or None where the participant never held a key of this type."""
    row = connection.execute(
        "SELECT id, participant, key_type, vsync, size, last_event_at FROM cid_sets"
        " WHERE participant = ? AND key_type = ?",
        (participant, key_type),
    ).fetchone()
    return None if row is None else CidSet(*row)


def obtain(connection: sqlite3.Connection, participant: str, key_type: str) -> CidSet:
    """Return the set, begun empty where there is none.

    Raises:
        DictRuleError: the participant is unknown.
    """
    found = find(connection, participant, key_type)
    if found is not None:
        return found
    known = connection.execute("SELECT 1 FROM participants WHERE ispb = ?", (participant,)).fetchone()
    if known is None:
        raise DictRuleError("ParticipantInvalid", "the participant is unknown here; add it first")
    created = CidSet(0, participant, key_type, bytes(CID_BYTES), 0, 0)
    cursor = connection.execute(
        "INSERT INTO cid_sets (participant, key_type, vsync, size, last_event_at) VALUES (?, ?, ?, 0, 0)",
        (participant, key_type, created.vsync),
    )
    created.id = cursor.lastrowid or 0
    return created


def append_events(connection: sqlite3.Connection, events: Iterable[LogRow]) -> None:
    """Write events to the log, in the order given."""
    connection.executemany("INSERT INTO cid_events (set_id, at, type, cid, vsync) VALUES (?, ?, ?, ?, ?)", events)


def save(connection: sqlite3.Connection, changed: CidSet) -> None:
    """Write a set's new state."""
    connection.execute(
        "UPDATE cid_sets SET vsync = ?, size = ?, last_event_at = ? WHERE id = ?",
        (changed.vsync, changed.size, changed.last_event_at, changed.id),
    )
