"""What the simulated DICT holds: participants, entries and their CID sets, and how operations change them.

The rules are DICT's (API 2.12.1, createEntry, updateEntry, deleteEntry; API 2.6.1, confirmClaim, completeClaim): an
update keeps the request id of the creation and is REMOVED and ADDED in the same millisecond; a claim takes the CID
from the donor when it is confirmed and gives one to the claimer when it is completed. Attributes are taken as they
come, valid or not: what a real DICT would refuse is sometimes just what a test wants it to hold.
"""

import random
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self, TypedDict, Unpack

from vsync_dagster.reconcile.cid import CID_BYTES
from vsync_dagster.reconcile.entry import Entry
from vsync_dagster.simulator import cid_sets, rows
from vsync_dagster.simulator.buckets import Buckets
from vsync_dagster.simulator.bulk import bulk_create
from vsync_dagster.simulator.calls import Calls
from vsync_dagster.simulator.cid_files import CidFiles
from vsync_dagster.simulator.cid_sets import CidSet
from vsync_dagster.simulator.database import StateFile
from vsync_dagster.simulator.errors import DictRuleError
from vsync_dagster.simulator.faults import Faults
from vsync_dagster.simulator.participants import Participants
from vsync_dagster.simulator.rows import HeldEntry
from vsync_dagster.simulator.times import from_ms, to_ms


class EntryChanges(TypedDict, total=False):
    """What updateEntry can change; the CID covers all of it but the opening date."""

    branch: str | None
    account_number: str
    account_type: str
    account_opened_at: datetime
    owner_name: str
    owner_trade_name: str | None


class DictState:
    """A DICT in a SQLite file, safe for several threads and processes at once; it survives a restart.

    CID set files lie beside it, in `<path>.files/`.
    """

    def __init__(self, path: Path, *, now: Callable[[], datetime]) -> None:
        """Open the state, beginning an empty one where there is none. `now` gives times with a time zone."""
        self.now = now
        self.file = StateFile(path)
        self.participants = Participants(self.file)
        self.faults = Faults(self.file)
        self.calls = Calls(self.file)
        self.buckets = Buckets(self.file, now)
        self.files = CidFiles(self.file, path.with_name(f"{path.name}.files"), now)

    def close(self) -> None:
        """Close the file; the state must not be used afterwards."""
        self.file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def create_entry(self, entry: Entry) -> bytes:
        """createEntry: ADDED. Return the CID; the very entry that is there already is no second event.

        Raises:
            DictRuleError: the key is taken, is between confirmation and completion of a claim, or the participant
                is unknown.
        """
        cid = entry.cid()
        with self.file.writing() as connection:
            _refuse_claimed(connection, entry.key)
            held = _active(connection, entry.key)
            if held is None:
                self._add(connection, entry, cid)
            elif held.cid != cid:
                raise _taken(held.entry, entry)
        return cid

    def update_entry(self, key: str, **changes: Unpack[EntryChanges]) -> tuple[bytes, bytes]:
        """updateEntry: REMOVED and ADDED in the same millisecond. Return the CID before and the CID after.

        Both events are logged when only the opening date changed, too: DICT documents them for every update.

        Raises:
            DictRuleError: nobody holds the key.
        """
        with self.file.writing() as connection:
            held = _require(connection, key)
            changed = replace(held.entry, **changes)
            cid = changed.cid()
            at = self._remove(connection, held)
            self._add(connection, changed, cid, at=at, open_claim_at=held.open_claim_at)
        return held.cid, cid

    def delete_entry(self, key: str) -> bytes:
        """deleteEntry: REMOVED. Return the CID that is gone.

        Raises:
            DictRuleError: nobody holds the key.
        """
        with self.file.writing() as connection:
            held = _require(connection, key)
            self._remove(connection, held)
        return held.cid

    def open_claim(self, key: str) -> None:
        """createClaim: no event; the key stays in its set, and a look-up tells since when it is claimed.

        Raises:
            DictRuleError: nobody holds the key.
        """
        with self.file.writing() as connection:
            held = _require(connection, key)
            connection.execute("UPDATE entries SET open_claim_at = ? WHERE id = ?", (to_ms(self.now()), held.row_id))

    def confirm_claim(self, key: str) -> bytes:
        """confirmClaim: REMOVED at the donor. Return the donor's CID; from here on nobody holds the key.

        Raises:
            DictRuleError: nobody holds the key.
        """
        with self.file.writing() as connection:
            held = _require(connection, key)
            self._remove(connection, held)
            connection.execute("INSERT INTO confirmed_claims VALUES (?, ?)", (key, to_ms(self.now())))
        return held.cid

    def complete_claim(self, entry: Entry) -> bytes:
        """completeClaim: ADDED at the claimer. `entry` carries the claimer's account and CompleteClaim's request id.

        Raises:
            DictRuleError: no claim of this key is confirmed, or the claimer is unknown.
        """
        cid = entry.cid()
        with self.file.writing() as connection:
            ended = connection.execute("DELETE FROM confirmed_claims WHERE key = ?", (entry.key,))
            if ended.rowcount != 1:
                raise DictRuleError("ClaimOperationInvalid", "no claim of this key is confirmed")
            self._add(connection, entry, cid)
        return cid

    def bulk_create(self, entries: Iterable[Entry], *, log_from: datetime | None = None) -> int:
        """Take many entries at once, streamed; return how many.

        Without `log_from` they are there as if since ever and the event log stays empty; with it, each is an ADDED
        event, one millisecond after the other from that time on (but never later than now). Every 5,000 entries are
        one transaction, so that others can write in between; those before an error stay.

        Raises:
            DictRuleError: a key is active already, or a participant is unknown.
        """
        return bulk_create(self.file, entries, self.now, log_from)

    def entry_by_cid(self, cid: bytes) -> HeldEntry | None:
        """Return the active entry of a CID, whoever holds it."""
        return next(iter(rows.select_held(self.file.connection, "e.cid = ?", cid)), None)

    def entry_by_key(self, key: str) -> HeldEntry | None:
        """Return the active entry of a key, whoever holds it."""
        return _active(self.file.connection, key)

    def entries(self, participant: str, key_type: str | None = None) -> Iterator[Entry]:
        """Yield a participant's active entries as of one moment, streamed, in order of their arrival."""
        with self.file.snapshot() as connection:
            held = rows.select_held(
                connection,
                "s.participant = ? AND (? IS NULL OR s.key_type = ?) ORDER BY e.id",
                participant,
                key_type,
                key_type,
            )
            for one in held:
                yield one.entry

    def sample(self, participant: str, key_type: str, count: int, seed: str) -> list[HeldEntry]:
        """Return `count` active entries picked by the seed, or all where there are fewer."""
        with self.file.snapshot() as connection:
            cid_set = cid_sets.find(connection, participant, key_type)
            if cid_set is None:
                return []
            picked = random.Random(seed).sample(range(cid_set.size), min(count, cid_set.size))  # noqa: S311
            wanted = set(picked)
            ids = connection.execute(
                "SELECT id FROM entries WHERE set_id = ? AND removed_at IS NULL ORDER BY id", (cid_set.id,)
            )
            chosen = [row_id for place, (row_id,) in enumerate(ids) if place in wanted]
            return [next(iter(rows.select_held(connection, "e.id = ?", row_id))) for row_id in chosen]

    def cid_set(self, participant: str, key_type: str) -> CidSet:
        """Return the running state of a CID set: VSync, size, time of the last event."""
        found = cid_sets.find(self.file.connection, participant, key_type)
        return found or CidSet(0, participant, key_type, bytes(CID_BYTES), 0, 0)

    def cids(self, participant: str, key_type: str) -> set[bytes]:
        """Return the active CIDs of a set, all in memory."""
        rows_found = self.file.connection.execute(
            "SELECT e.cid FROM entries e JOIN cid_sets s ON s.id = e.set_id"
            " WHERE s.participant = ? AND s.key_type = ? AND e.removed_at IS NULL",
            (participant, key_type),
        )
        return {cid for (cid,) in rows_found}

    def verify(self, participant: str, key_type: str, verifier: bytes) -> tuple[int, bool]:
        """createSyncVerification: return its id, and whether the verifier is the set's VSync right now."""
        with self.file.writing() as connection:
            cid_set = cid_sets.obtain(connection, participant, key_type)
            in_sync = cid_set.vsync == verifier
            cursor = connection.execute(
                "INSERT INTO sync_verifications (set_id, at, verifier, result) VALUES (?, ?, ?, ?)",
                (cid_set.id, to_ms(self.now()), verifier, "OK" if in_sync else "NOK"),
            )
        return cursor.lastrowid or 0, in_sync

    def verifications(self, participant: str) -> list[tuple[str, datetime, str]]:
        """Return key type, time and result (OK or NOK) of every verification of a participant, oldest first."""
        found = self.file.connection.execute(
            "SELECT s.key_type, v.at, v.result FROM sync_verifications v JOIN cid_sets s ON s.id = v.set_id"
            " WHERE s.participant = ? ORDER BY v.id",
            (participant,),
        )
        return [(key_type, from_ms(at), result) for key_type, at, result in found]

    def _add(
        self,
        connection: sqlite3.Connection,
        entry: Entry,
        cid: bytes,
        *,
        at: int | None = None,
        open_claim_at: datetime | None = None,
    ) -> None:
        cid_set = cid_sets.obtain(connection, entry.participant, entry.key_type)
        at = cid_set.moment(to_ms(self.now())) if at is None else at
        cid_set.add(cid)
        rows.insert(connection, [rows.to_row(entry, cid_set.id, cid, at, open_claim_at)])
        cid_sets.append_events(connection, [cid_set.logged("ADDED", cid, at)])
        cid_sets.save(connection, cid_set)

    def _remove(self, connection: sqlite3.Connection, held: HeldEntry) -> int:
        cid_set = cid_sets.obtain(connection, held.entry.participant, held.entry.key_type)
        at = cid_set.moment(to_ms(self.now()))
        cid_set.remove(held.cid)
        connection.execute("UPDATE entries SET removed_at = ? WHERE id = ?", (at, held.row_id))
        cid_sets.append_events(connection, [cid_set.logged("REMOVED", held.cid, at)])
        cid_sets.save(connection, cid_set)
        return at


def _active(connection: sqlite3.Connection, key: str) -> HeldEntry | None:
    return next(iter(rows.select_held(connection, "e.key = ?", key)), None)


def _require(connection: sqlite3.Connection, key: str) -> HeldEntry:
    held = _active(connection, key)
    if held is None:
        raise DictRuleError("NotFound", "nobody holds this key")
    return held


def _refuse_claimed(connection: sqlite3.Connection, key: str) -> None:
    if connection.execute("SELECT 1 FROM confirmed_claims WHERE key = ?", (key,)).fetchone():
        raise DictRuleError("EntryLockedByClaim", "a claim of this key is confirmed and not yet completed")


def _taken(held: Entry, asked: Entry) -> DictRuleError:
    if held.participant == asked.participant:
        return DictRuleError("EntryAlreadyExists", "the participant holds this key already")
    if held.owner_tax_id == asked.owner_tax_id:
        return DictRuleError("EntryKeyInCustodyOfDifferentParticipant", "another participant holds this key")
    return DictRuleError("EntryKeyOwnedByDifferentPerson", "another person holds this key")
