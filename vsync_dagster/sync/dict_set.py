"""Learning how DICT's CID set differs from ours: from the event log, or from the CID file and the log after it."""

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from vsync_dagster.dict_api.client import DictClient
from vsync_dagster.dict_api.errors import EventLogError
from vsync_dagster.dict_api.event_log import EventLog, read_events
from vsync_dagster.reconcile import difference as core
from vsync_dagster.reconcile.cid_set import CidStream
from vsync_dagster.reconcile.difference import ComparisonError, SetDifference
from vsync_dagster.reconcile.set_events import SetEvent, last_removals, memberships
from vsync_dagster.reconcile.status import Source
from vsync_dagster.reconcile.vsync import EMPTY_VSYNC, xor
from vsync_dagster.sync.verification import LocalSet

_log = logging.getLogger(__name__)

# Whatever was true at a moment of DICT's clock is looked for in the log from a little before it: clocks differ, and
# reading an event twice does no harm.
OVERLAP = timedelta(seconds=60)

# Once there is a file, nothing but the log tells what came after it, whatever that costs: 200,000 events.
_MAX_PAGES_AFTER_FILE = 1_000

OursAmong = Callable[[Collection[bytes]], frozenset[bytes]]
"""Tells which of some CIDs our snapshot holds."""

DictHolds = Callable[[bytes], bool]
"""Asks DICT whether it holds a CID; costs a token."""


@dataclass(frozen=True, slots=True)
class DictSet:
    """DICT's set of one key type, told as its difference to ours.

    `moved` are CIDs with an event since our snapshot: in flight, whatever they look like. `removed_at` is when DICT's
    log says that a CID was removed, and `log_read_to` is how far the log was read, by DICT's clock.
    """

    key_type: str
    source: Source
    difference: SetDifference
    moved: frozenset[bytes]
    removed_at: dict[bytes, datetime]
    log_read_to: datetime


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The last verification: when DICT said OK to which VSync, and what has changed here since, as far as we know."""

    verified_at: datetime
    vsync: bytes
    taken_out: frozenset[bytes]
    own_events: Sequence[SetEvent]


def from_event_log(
    client: DictClient,
    ours: LocalSet,
    ours_among: OursAmong,
    dict_holds: DictHolds,
    *,
    checkpoint: Checkpoint | None,
    since: datetime | None,
    snapshot_cut: datetime,
    max_pages: int,
) -> DictSet | None:
    """Derive DICT's set from both logs; None where they cannot explain the difference, and the CID file must.

    Args:
        since: where to read DICT's log from, if not from the checkpoint.
        snapshot_cut: the time of our snapshot by DICT's clock, less the lag; events after it are in flight.
        max_pages: as many pages are read at most, because more would cost more than the CID file.
    """
    start = since or (checkpoint.verified_at - OVERLAP if checkpoint else None)
    if start is None:
        return None
    try:
        log = read_events(client, ours.key_type, start, max_pages=max_pages)
        theirs = log.verifier_end or (checkpoint.vsync if checkpoint else None)
        if theirs is None:
            return None
        events = set_events(log)
        held = memberships(events)
        found = _since_checkpoint(checkpoint, ours_among)
        found = core.after_events(found, ours_among(held.keys()), held)
        found = _with_a_single_one(found, xor(xor(ours.vsync, theirs), found.vsync()), ours_among, dict_holds)
        core.check(ours.vsync, theirs, found)
        core.check_differs(found)
    except (EventLogError, ComparisonError) as error:
        _log.warning("%s: the event log does not explain the difference (%s); asking for the CID file",
                     ours.key_type, error)  # fmt: skip
        return None
    return _dict_set(ours, Source.EVENTS, found, log, snapshot_cut)


def from_file(
    client: DictClient,
    ours: LocalSet,
    our_cids: CidStream,
    ours_among: OursAmong,
    *,
    file_cids: CidStream,
    file_created_at: datetime,
    snapshot_cut: datetime,
) -> DictSet:
    """Compare our set with a CID file, brought up to date by the event log since the file was made.

    A log that contradicts itself or the file is not used: it has happened that DICT's log left out a key. The file is
    DICT's set at one moment, and whatever is applied is looked up again before.

    Raises:
        ComparisonError: the file and our set do not add up; nothing may be repaired on their word.
        CidFileContentError: DICT's own file is not one of CIDs.
        VsyncError: what the client raises; without the log nobody can tell what is in flight.
    """
    log = _log_since(client, ours.key_type, min(file_created_at, snapshot_cut) - OVERLAP)
    compared = core.compare(our_cids, file_cids, ours.entries)
    _log.info("%s: DICT's CID file has %d CIDs", ours.key_type, compared.theirs.count)
    # What was compared is what DICT was asked about.
    core.check_counts(ours.entries, compared.theirs.count, compared.found)
    core.check(ours.vsync, compared.theirs.vsync, compared.found)
    if log is None:
        return DictSet(ours.key_type, Source.CID_FILE, compared.found, frozenset(), {}, file_created_at)
    held = memberships(set_events(log))
    found = core.after_events(compared.found, ours_among(held.keys()), held)
    try:
        if log.verifier_end is not None:
            core.check(ours.vsync, log.verifier_end, found)
    except ComparisonError:
        _log.warning("%s: DICT's event log does not fit its CID file; using the file", ours.key_type)
        found = compared.found
    return _dict_set(ours, Source.CID_FILE, found, log, snapshot_cut)


def _log_since(client: DictClient, key_type: str, start: datetime) -> EventLog | None:
    """Return the log since a time; None where it contradicts itself."""
    try:
        return read_events(client, key_type, start, max_pages=_MAX_PAGES_AFTER_FILE)
    except EventLogError as error:
        _log.warning("%s: the event log is not used (%s); going by the CID file alone", key_type, error)
        return None


def set_events(log: EventLog) -> list[SetEvent]:
    """Return a log's events in the core's form."""
    return [SetEvent(event.type == "ADDED", event.cid, event.timestamp) for event in log.events]


def _with_a_single_one(
    found: SetDifference, unexplained: bytes, ours_among: OursAmong, dict_holds: DictHolds
) -> SetDifference:
    """Add the CID that no log names, if it is only one: the XOR that nothing explains is then that CID itself."""
    if unexplained == EMPTY_VSYNC:
        return found
    if ours_among([unexplained]):
        return SetDifference(found.only_ours | {unexplained}, found.only_theirs)
    if dict_holds(unexplained):
        return SetDifference(found.only_ours, found.only_theirs | {unexplained})
    return found


def _since_checkpoint(checkpoint: Checkpoint | None, ours_among: OursAmong) -> SetDifference:
    if checkpoint is None:
        return SetDifference(frozenset(), frozenset())
    named = {event.cid for event in checkpoint.own_events} | checkpoint.taken_out
    return core.since_verified(ours_among(named), checkpoint.own_events, checkpoint.taken_out)


def _dict_set(ours: LocalSet, source: Source, found: SetDifference, log: EventLog, snapshot_cut: datetime) -> DictSet:
    events = set_events(log)
    moved = frozenset(event.cid for event in events if event.at > snapshot_cut)
    return DictSet(ours.key_type, source, found, moved, last_removals(events), log.read_at)
