"""What a log of CID set events says about the set after it."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from vsync_dagster.reconcile.vsync import xor


@dataclass(frozen=True, slots=True)
class SetEvent:
    """A CID was added to a set or removed from it, at a time of the clock of whoever keeps the log."""

    added: bool
    cid: bytes
    at: datetime


def memberships(events: Iterable[SetEvent]) -> dict[bytes, bool]:
    """Tell for each CID in the events whether the set holds it after them.

    The order of events with the same time is not promised by DICT, so those count together: one ADDED more than
    REMOVED means held, one less means not held, and a tie means as before, that is, as the events before it say. A CID
    whose events say nothing at all (an update that left it as it was) is not in the answer.
    """
    changes: dict[bytes, dict[datetime, int]] = defaultdict(lambda: defaultdict(int))
    for event in events:
        changes[event.cid][event.at] += 1 if event.added else -1
    held: dict[bytes, bool] = {}
    for cid, by_time in changes.items():
        decisive = [at for at, net in by_time.items() if net != 0]
        if decisive:
            held[cid] = by_time[max(decisive)] > 0
    return held


def first_effects(events: Iterable[SetEvent]) -> dict[bytes, bool]:
    """Tell for each CID whether the set held it before the events, which are in the order they happened."""
    before: dict[bytes, bool] = {}
    for event in events:
        before.setdefault(event.cid, not event.added)
    return before


def last_removals(events: Iterable[SetEvent]) -> dict[bytes, datetime]:
    """Return the time of the last REMOVED of each CID."""
    removed: dict[bytes, datetime] = {}
    for event in events:
        if not event.added:
            removed[event.cid] = max(event.at, removed.get(event.cid, event.at))
    return removed


def vsyncs_left(before: bytes, events: Iterable[SetEvent], since: datetime, until: datetime) -> frozenset[bytes]:
    """Return every VSync that a set had at a time or later, and left by an event until another time.

    Args:
        before: the set's VSync before the events; adding a CID and removing it are the same XOR.
        events: in the order they happened.
        since: a VSync that the set had only before this time is not returned.
        until: nor is one that the set still had at this time.
    """
    left, current = set(), before
    for event in events:
        if event.at > until:
            break
        if event.at > since:
            left.add(current)
        current = xor(current, event.cid)
    return frozenset(left - {current})
