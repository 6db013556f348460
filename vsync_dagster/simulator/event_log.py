"""Reading the CID event log, a page at a time."""

import sqlite3
from dataclasses import dataclass

from vsync_dagster.reconcile.vsync import xor
from vsync_dagster.simulator.cid_sets import CidSet


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """An event with its time stamp in milliseconds; `vsync` is the set's VSync after it."""

    at: int
    type: str
    cid: bytes
    vsync: bytes


@dataclass(frozen=True, slots=True)
class EventPage:
    """A page of a set's log, ascending by time; `vsync` is the set's VSync at the end of the window asked for."""

    events: tuple[LoggedEvent, ...]
    has_more: bool
    vsync: bytes


def read_page(connection: sqlite3.Connection, cid_set: CidSet, start: int, end: int, limit: int) -> EventPage:
    """Return at most `limit` events from `start` to `end`, both inclusive and in milliseconds."""
    found = connection.execute(
        "SELECT at, type, cid, vsync FROM cid_events WHERE set_id = ? AND at BETWEEN ? AND ? ORDER BY at, seq LIMIT ?",
        (cid_set.id, start, end, limit + 1),
    ).fetchall()
    events = tuple(LoggedEvent(*row) for row in found[:limit])
    return EventPage(events, len(found) > limit, vsync_at(connection, cid_set, end))


def vsync_at(connection: sqlite3.Connection, cid_set: CidSet, at: int) -> bytes:
    """Return the set's VSync after all events up to a moment in milliseconds."""
    following = connection.execute(
        "SELECT vsync, cid FROM cid_events WHERE set_id = ? AND at > ? ORDER BY at, seq LIMIT 1",
        (cid_set.id, at),
    ).fetchone()
    # Before the next event the set was what it was after it, less that event's CID.
    return cid_set.vsync if following is None else xor(*following)
