"""Proving the result: the VSyncs computed again from the database and sent to DICT's own verifier."""

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from vsync_dagster.dict_api.client import DictClient
from vsync_dagster.dict_api.errors import KEY_TYPE_ERRORS
from vsync_dagster.dict_api.event_log import EventLog, read_events
from vsync_dagster.local_db.database import Database
from vsync_dagster.progress import log_wait
from vsync_dagster.reconcile.set_events import vsyncs_left
from vsync_dagster.reconcile.status import Proof, SyncType
from vsync_dagster.sync.clocks import DictClock
from vsync_dagster.sync.dict_set import OVERLAP, set_events
from vsync_dagster.sync.facts import LocalFacts
from vsync_dagster.sync.local_sets import OurSets, carry_from, read_whole
from vsync_dagster.sync.verdicts import record_verdicts
from vsync_dagster.sync.verification import LocalSet, Verdict, verify_once

_log = logging.getLogger(__name__)

_ATTEMPTS = 3
_LOG_ATTEMPTS = 3


@dataclass(slots=True)
class Prover:
    """Proves one participant's key types, and remembers every set that it asked about.

    A FULL sync proves what the table holds; an INCREMENTAL one carries the sets that it compared, `compared`, forward
    over what has changed since.
    """

    client: DictClient
    database: Database
    ispb: str
    compared: LocalFacts
    lag: float
    sleep: Callable[[float], None]
    _seen: dict[str, list[tuple[datetime, LocalSet, datetime]]] = field(default_factory=dict)

    def prove(self, key_types: Collection[str], since: datetime) -> dict[str, tuple[LocalSet, Verdict]]:
        """Return DICT's verdict on each key type as our base is now, with the set that it is about.

        The participant's customers go on changing keys meanwhile, so a NOK is asked again about the set of that
        moment. Where no verification lands on a still set, DICT's event log since `since` is the proof, if it accounts
        for DICT's NOK.
        """
        verdicts = self._ask(key_types)
        for _ in range(_ATTEMPTS - 1):
            left = [name for name, verdict in verdicts.items() if not verdict.ok]
            if not left:
                break
            log_wait(_log, self.lag, "DICT's event log to catch up")
            self.sleep(self.lag)
            verdicts |= self._ask(left)
        return {
            name: (self._seen[name][-1][1], self._by_event_chain(verdict, since)) for name, verdict in verdicts.items()
        }

    def _ask(self, key_types: Collection[str]) -> dict[str, Verdict]:
        if not key_types:
            return {}
        ours = self._ours()
        read, sets = ours.read, ours.by_key_type
        verdicts = {name: verify_once(self.client, sets[name]) for name in key_types}
        answered_at = max(verdict.answered_at for verdict in verdicts.values())
        read_at = DictClock.seen_by(answered_at, self.database).of_dict(read.taken_at)
        for name in key_types:
            self._seen.setdefault(name, []).append((read_at, sets[name], verdicts[name].answered_at))
        record_verdicts(self.database, self.ispb, verdicts.values(), sets, read.pg_snapshot, read.cluster)
        return verdicts

    def _ours(self) -> OurSets:
        carried = None
        if self.compared.sync_type is SyncType.INCREMENTAL:
            carried = carry_from(self.database, self.ispb, self.compared)
        return carried or read_whole(self.database, self.ispb)

    def _by_event_chain(self, verdict: Verdict, since: datetime) -> Verdict:
        if verdict.ok:
            return verdict
        # What changed just before DICT's NOK is in its log only after the lag.
        self.sleep(self.lag)
        try:
            log = read_events(replace(self.client, attempts=_LOG_ATTEMPTS), verdict.key_type, since - OVERLAP)
        except KEY_TYPE_ERRORS as error:
            _log.warning("%s: the event log cannot serve as proof (%s)", verdict.key_type, error)
            return verdict
        return self._on_chain(verdict, log)

    def _on_chain(self, verdict: Verdict, log: EventLog) -> Verdict:
        """Look for a VSync of ours among those that DICT's set had at that time or later, less the lag, and then left.

        One that it had only earlier proves nothing: it may be from before a change that never reached us. Nor does one
        that the set still had by the log when DICT said NOK to it: the log then leaves something out.
        """
        if log.verifier_before is None:
            return verdict
        events = set_events(log)
        for read_at, ours, answered_at in self._seen[verdict.key_type]:
            since = read_at - timedelta(seconds=self.lag)
            theirs = vsyncs_left(log.verifier_before, events, since, answered_at)
            for proof, candidate in ours.candidates():
                if candidate in theirs:
                    taken_out = ours.under_review if proof is Proof.VSYNC_WITHOUT_REVIEW else frozenset()
                    return Verdict(verdict.key_type, Proof.EVENT_CHAIN, candidate, taken_out, verdict.answered_at)
        return verdict
