"""Taking whole populations into the state: streamed, in bounded memory."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import islice

from vsync_dagster.reconcile.entry import Entry
from vsync_dagster.simulator import cid_sets, rows
from vsync_dagster.simulator.cid_sets import CidSet, LogRow
from vsync_dagster.simulator.database import StateFile
from vsync_dagster.simulator.errors import DictRuleError
from vsync_dagster.simulator.times import to_ms

_CHUNK = 5_000


def bulk_create(
    file: StateFile, entries: Iterable[Entry], now: Callable[[], datetime], log_from: datetime | None
) -> int:
    """Insert entries as `DictState.bulk_create` describes; return how many."""
    done = 0
    stream = iter(entries)
    # The CIDs are computed before the write lock is taken.
    while chunk := [(entry, entry.cid()) for entry in islice(stream, _CHUNK)]:
        try:
            with file.writing() as connection:
                _insert(connection, chunk, _moments(now, log_from, done))
        except sqlite3.IntegrityError:
            raise DictRuleError("EntryAlreadyExists", "a key of this population is active already") from None
        done += len(chunk)
    return done


def _insert(
    connection: sqlite3.Connection, chunk: list[tuple[Entry, bytes]], moments: Iterator[tuple[int, bool]]
) -> None:
    sets: dict[tuple[str, str], CidSet] = {}
    new_rows: list[tuple[object, ...]] = []
    events: list[LogRow] = []
    for (entry, cid), (moment, logged) in zip(chunk, moments, strict=False):
        name = (entry.participant, entry.key_type)
        if name not in sets:
            sets[name] = cid_sets.obtain(connection, *name)
        cid_set = sets[name]
        cid_set.add(cid)
        at = cid_set.moment(moment)
        if logged:
            events.append(cid_set.logged("ADDED", cid, at))
        new_rows.append(rows.to_row(entry, cid_set.id, cid, at))
    rows.insert(connection, new_rows)
    cid_sets.append_events(connection, events)
    for cid_set in sets.values():
        cid_sets.save(connection, cid_set)


def _moments(now: Callable[[], datetime], log_from: datetime | None, done: int) -> Iterator[tuple[int, bool]]:
    """Yield, for each entry, when it became active in milliseconds, and whether that is an event of the log."""
    now_ms = to_ms(now())
    while True:
        yield (now_ms, False) if log_from is None else (min(to_ms(log_from) + done, now_ms), True)
        done += 1
