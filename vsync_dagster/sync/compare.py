"""Comparing DICT's sets with a local snapshot: what `bacen_snapshot` does."""

import logging
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

import polars as pl

from vsync_dagster.dict_api.budget import CIDS_ENTRIES_READ
from vsync_dagster.dict_api.cid_file import CidFile
from vsync_dagster.dict_api.client import DictClient
from vsync_dagster.dict_api.errors import KEY_TYPE_ERRORS
from vsync_dagster.local_db import entries, ledger, lookups, sync_state
from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.local_db.encryption import Cipher
from vsync_dagster.local_db.entries import LocalEntry
from vsync_dagster.local_db.sync_state import SyncState
from vsync_dagster.reconcile.difference import ComparisonError
from vsync_dagster.reconcile.discrepancies import DICT_ONLY_SCHEMA, LOCAL_ONLY_SCHEMA
from vsync_dagster.reconcile.errors import BudgetExhaustedError
from vsync_dagster.reconcile.look_up import Found
from vsync_dagster.reconcile.plan import Plan
from vsync_dagster.reconcile.set_events import SetEvent
from vsync_dagster.reconcile.status import Source, SyncType
from vsync_dagster.sync import dict_set, verification
from vsync_dagster.sync.allowance import Allowance
from vsync_dagster.sync.cid_files import CidFiles
from vsync_dagster.sync.clocks import DictClock
from vsync_dagster.sync.dict_set import Checkpoint, DictSet
from vsync_dagster.sync.facts import KeyTypeFacts, LocalFacts
from vsync_dagster.sync.local_sets import OurEntries, SnapshotCids
from vsync_dagster.sync.look_up import look_up_all, unknown_cids
from vsync_dagster.sync.verdicts import record_answers, record_log_positions, record_verdicts
from vsync_dagster.sync.verification import Verdict

_log = logging.getLogger(__name__)

_LOG_ATTEMPTS = 3


class TableNeededError(Exception):
    """The sets were carried forward, and the logs do not explain why DICT's differ: the table has to be read whole."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What DICT said of each key type, and the differences, in `DICT_ONLY_SCHEMA` and `LOCAL_ONLY_SCHEMA`.

    `ours` are the entries of the local snapshot that the differences are about, in `LOCAL_SCHEMA`.
    """

    key_types: dict[str, KeyTypeFacts]
    dict_only: pl.DataFrame
    local_only: pl.DataFrame
    ours: pl.DataFrame
    read_until: datetime
    plan: Plan


@dataclass(frozen=True, slots=True)
class Comparer:
    """One participant's local snapshot, and what it takes to compare it with DICT.

    `cids` are those of the snapshot, if it was read whole. `current` tells that the snapshot is this run's own: DICT's
    OK to an older one says nothing of our base as it is now. In a dry run no clock is set, and no checkpoint.
    """

    client: DictClient
    database: Database
    cipher: Cipher
    files: CidFiles
    ispb: str
    ours: LocalFacts
    entries: OurEntries
    cids: SnapshotCids | None
    tampered: pl.DataFrame
    since: datetime | None
    lag: float
    allowance: Allowance
    current: bool = True
    dry_run: bool = False

    def compare(self) -> Comparison:
        """Ask DICT the cheapest question first, and look up only what we do not hold.

        Where DICT's budgets end before the work does, what is left is PENDING: a key type, or a look-up. So is a key
        type whose log or file cannot be had, or whose differences do not add up; the others go on.

        Raises:
            TableNeededError: a CID file has to be compared, and the local snapshot was not read whole.
        """
        verdicts = verification.verify(self.client, self.ours.sets.values(), lag=self.lag, sleep=self.files.sleep)
        last_answer = max(verdict.answered_at for verdict in verdicts.values())
        # At once: what passes until our clock is read counts as lag, and makes more of what DICT did look in flight.
        cut = DictClock.seen_by(last_answer, self.database).of_dict(self.ours.taken_at) - timedelta(seconds=self.lag)
        self._record_verdicts(verdicts)
        self._log_verdicts(verdicts)
        unequal = [name for name, verdict in verdicts.items() if not verdict.ok]
        dict_sets = self._learn(unequal, cut)
        self._record_log_positions(dict_sets)
        sources = dict.fromkeys(verdicts, Source.VERIFIED) | dict.fromkeys(unequal, Source.PENDING)
        sources |= {name: found.source for name, found in dict_sets.items()}
        key_types = {
            name: KeyTypeFacts(
                verdict.proof,
                sources[name],
                pending_because=self.files.failures.get(name) if sources[name] is Source.PENDING else None,
                contradiction=self._contradiction(dict_sets.get(name), verdict),
            )
            for name, verdict in verdicts.items()
        }
        return self._told(key_types, list(dict_sets.values()), last_answer)

    def _record_verdicts(self, verdicts: Mapping[str, Verdict]) -> None:
        if self.dry_run:
            return
        sets, snapshot, cluster = self.ours.sets, self.ours.pg_snapshot, self.ours.cluster
        if self.current:
            record_verdicts(self.database, self.ispb, verdicts.values(), sets, snapshot, cluster)
        else:
            record_answers(self.database, self.ispb, verdicts.values())

    def _record_log_positions(self, dict_sets: Mapping[str, DictSet]) -> None:
        if not self.dry_run:
            read_to = {name: found.log_read_to for name, found in dict_sets.items()}
            record_log_positions(self.database, self.ispb, read_to)

    def _contradiction(self, found: DictSet | None, verdict: Verdict) -> str | None:
        """Return the evidence, where DICT's file is what we hold and DICT still says NOK to that very set."""
        if found is None or found.source is not Source.CID_FILE or found.moved:
            return None
        if found.difference.only_theirs or found.difference.only_ours - self._under_review(found):
            return None
        file = self.files.fetched[found.key_type]
        evidence = (
            f"file {file.id} (SHA-256 {file.sha256}) holds what we hold, and sync verification"
            f" {verdict.verification_id} (CorrelationId {verdict.correlation_id}) of our VSync"
            f" {self.ours.sets[found.key_type].vsync.hex()} is NOK"
        )
        _log.warning("%s: %s: DICT contradicts its own file: %s", self.ispb, found.key_type, evidence)
        return evidence

    def _log_verdicts(self, verdicts: Mapping[str, Verdict]) -> None:
        told = ", ".join(f"{name} {'OK' if verdict.ok else 'NOK'}" for name, verdict in verdicts.items())
        _log.info("%s: DICT's verdicts: %s", self.ispb, told)

    def _learn(self, key_types: Collection[str], cut: datetime) -> dict[str, DictSet]:
        """Learn DICT's sets of some key types, by the event logs where they suffice, else by CID files."""
        learnt: dict[str, DictSet] = {}
        if self.ours.sync_type is SyncType.INCREMENTAL:
            for name in key_types:
                found = self._by_event_log(name, cut)
                if found is not None:
                    learnt[name] = found
        left = [name for name in key_types if name not in learnt]
        return learnt | self._learn_from_files(left, cut) if left else learnt

    def _learn_from_files(self, key_types: Collection[str], cut: datetime) -> dict[str, DictSet]:
        if self.cids is None:
            raise TableNeededError
        learnt: dict[str, DictSet] = {}
        for name, file_id in self.files.ask(key_types).items():
            try:
                learnt[name] = self._by_file(name, file_id, self.cids, cut)
            except BudgetExhaustedError as error:
                _log.warning("%s: %s: %s", self.ispb, name, error)
            except (*KEY_TYPE_ERRORS, ComparisonError) as error:
                _log.warning("%s: %s is left as it is: %s", self.ispb, name, error)
                self.files.failures[name] = str(error)
        return learnt

    def _by_event_log(self, key_type: str, cut: datetime) -> DictSet | None:
        checkpoint = self._checkpoint(key_type)
        max_pages = self.allowance.pages_worth_reading(len(checkpoint.own_events) if checkpoint else 0)
        if not max_pages:
            _log.info("%s: %s: the event log would cost more than the CID file", self.ispb, key_type)
            return None
        try:
            return dict_set.from_event_log(
                # Where the log cannot be had, the file is asked for; no need to try for long.
                replace(self.client, attempts=_LOG_ATTEMPTS),
                self.ours.sets[key_type],
                self.entries.among,
                self._dict_holds,
                checkpoint=checkpoint,
                since=self.since,
                snapshot_cut=cut,
                max_pages=max_pages,
            )
        except (BudgetExhaustedError, *KEY_TYPE_ERRORS) as error:
            _log.warning("%s: %s: %s", self.ispb, key_type, error)
            return None

    def _by_file(self, key_type: str, file_id: int, cids: SnapshotCids, cut: datetime) -> DictSet:
        with self.files.folder(key_type) as folder:
            path = folder / "cids"
            created_at = self.files.fetch(key_type, file_id, path)
            return dict_set.from_file(
                self.client,
                self.ours.sets[key_type],
                cids.of(key_type),
                self.entries.among,
                file_cids=CidFile(path),
                file_created_at=created_at,
                snapshot_cut=cut,
            )

    def _dict_holds(self, cid: bytes) -> bool:
        # What is found waits with the others, and is not looked up twice.
        if not unknown_cids(self.database, self.cipher, self.ispb, [cid]):
            return True
        return look_up_all(self.client, self.database, self.cipher, [cid], 1).found[cid] is Found.FOUND

    def _checkpoint(self, key_type: str) -> Checkpoint | None:
        """Return the last verification, and what has changed here since, if this server's log can tell."""
        states = self.database.retrying(lambda connection: sync_state.get(connection, self.ispb))
        state = states.get(key_type)
        if state is None or state.verified_at is None or state.verified_vsync is None:
            return None
        own_events = self._own_events(state)
        return Checkpoint(state.verified_at, state.verified_vsync, frozenset(state.excluded_cids), own_events)

    def _own_events(self, state: SyncState) -> list[SetEvent]:
        verified_in = state.local_snapshot
        if verified_in is None or state.cluster != self.ours.cluster:
            return []
        changes = self.database.retrying(
            lambda connection: ledger.events_since(connection, self.ispb, state.key_type, verified_in), bulk=True
        )
        return [SetEvent(change.event_type == "ADDED", change.cid, change.occurred_at) for change in changes]

    def _told(self, key_types: dict[str, KeyTypeFacts], dict_sets: list[DictSet], read_until: datetime) -> Comparison:
        """Look up what we do not hold, and write each difference down without anything personal."""
        stored = dict(self.tampered.select("cid", "key_type").rows())
        # A row whose key type was changed names the wrong set; where DICT's own set has the CID, that is the right one.
        only_theirs = stored | {cid: found.key_type for found in dict_sets for cid in found.difference.only_theirs}
        only_ours = {cid: found for found in dict_sets for cid in found.difference.only_ours}
        unknown = unknown_cids(self.database, self.cipher, self.ispb, only_theirs)
        plan = self.allowance.plan(
            look_ups=len(unknown),
            second_looks=sum(cid not in self._under_review(found) for cid, found in only_ours.items()),
            to_prove=sum(facts.proof is None for facts in key_types.values()),
        )
        _log.info("%s: %s", self.ispb, plan.line())
        outcomes = dict.fromkeys(only_theirs, Found.FOUND)
        asked = look_up_all(self.client, self.database, self.cipher, unknown, plan.granted[CIDS_ENTRIES_READ])
        outcomes |= asked.found
        holders, request_id_alone = self._holders(outcomes)
        moved = frozenset[bytes]().union(*(found.moved for found in dict_sets))
        moved |= self._changed_here([*only_theirs, *only_ours], holders)
        alone = Counter(only_theirs[cid] for cid in request_id_alone - moved)
        for name, count in alone.items():
            _log.warning("%s: %s: %d keys differ from DICT in the request id alone", self.ispb, name, count)
        unreadable = {name: dict[str, str]() for name in key_types}
        for cid, why in asked.unreadable.items():
            unreadable[only_theirs[cid]][cid.hex()] = why
        key_types = {
            name: replace(facts, request_id_alone=alone[name], unreadable=unreadable[name])
            for name, facts in key_types.items()
        }
        dict_only = [
            (key_type, cid, outcomes[cid].value, *_columns(holders.get(cid)), cid in moved)
            for cid, key_type in only_theirs.items()
        ]
        local_only = [
            (found.key_type, cid, cid in moved, cid in self._under_review(found), found.removed_at.get(cid))
            for cid, found in only_ours.items()
        ]
        return Comparison(
            key_types,
            pl.DataFrame(dict_only, DICT_ONLY_SCHEMA, orient="row"),
            pl.DataFrame(local_only, LOCAL_ONLY_SCHEMA, orient="row"),
            self.entries.rows(only_ours, [holder.entry_id.bytes for holder in holders.values()]),
            read_until,
            plan,
        )

    def _under_review(self, found: DictSet) -> frozenset[bytes]:
        return self.ours.sets[found.key_type].under_review

    def _holders(self, outcomes: Mapping[bytes, Found]) -> tuple[dict[bytes, LocalEntry], frozenset[bytes]]:
        """Return, for each CID looked up, our ACTIVE entry with the same key, or the row that hashes to it no more.

        Also those of the CIDs whose entry differs from ours in the request id alone.
        """
        tampered = {UUID(bytes=entry_id): cid for entry_id, cid in self.tampered.select("entry_id", "cid").rows()}
        looked_up = [cid for cid, found in outcomes.items() if found is Found.FOUND]

        def read(connection: Connection) -> tuple[dict[bytes, LocalEntry], frozenset[bytes]]:
            found = lookups.staged(connection, self.cipher, self.ispb, looked_up)
            keys = {cid: entry.key for cid, entry in found.items()}
            rows = entries.local_entries_for_keys(connection, self.ispb, keys.values())
            by_key = {row.key: row for row in rows if row.status == "ACTIVE"}
            holders = {cid: by_key[key] for cid, key in keys.items() if key in by_key}
            rows = entries.local_entries_by_id(connection, self.ispb, tampered)
            holders |= {tampered[row.entry_id]: row for row in rows if row.status == "ACTIVE"}
            theirs = {holder.entry_id: found[cid] for cid, holder in holders.items() if cid in found}
            alone = entries.differing_in_request_id_alone(connection, self.ispb, theirs)
            return holders, frozenset(cid for cid, holder in holders.items() if holder.entry_id in alone)

        return self.database.retrying(read, bulk=True)

    def _changed_here(self, cids: Collection[bytes], holders: Mapping[bytes, LocalEntry]) -> frozenset[bytes]:
        """Return the CIDs that came or went here since the snapshot, or whose entry did."""
        changed, rows = self.database.retrying(
            lambda connection: ledger.changed_since(
                connection,
                self.ispb,
                self.ours.taken_at,
                cids,
                [holder.entry_id for holder in holders.values()],
                local_snapshot=self.ours.pg_snapshot,
            ),
            bulk=True,
        )
        return frozenset(changed) | {cid for cid, holder in holders.items() if holder.entry_id in rows}


def _columns(holder: LocalEntry | None) -> tuple[bytes | None, int | None]:
    return (None, None) if holder is None else (holder.entry_id.bytes, holder.row_version)
