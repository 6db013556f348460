"""Asking DICT whether our set of a key type is its own (Manual Operacional do DICT, chapter 9)."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from vsync_dagster.dict_api.client import DictClient
from vsync_dagster.progress import log_wait
from vsync_dagster.reconcile.status import Proof
from vsync_dagster.reconcile.vsync import vsync, xor

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LocalSet:
    """Our CID set of one key type at one moment: its size, its VSync, and those of its CIDs that are under review.

    `read_whole_at` is when the table was last read whole for it; `carried` tells that this was not now, and that the
    set was carried forward since over the ledger of CIDs that came and went.
    """

    key_type: str
    entries: int
    vsync: bytes
    read_whole_at: datetime
    under_review: frozenset[bytes] = frozenset()
    carried: bool = False

    def candidates(self) -> list[tuple[Proof, bytes]]:
        """Return the VSyncs to ask about, in order, and what an OK to each proves.

        A key under review is one that we hold and DICT does not, so the set without those keys is the likelier one.
        """
        whole = (Proof.VSYNC, self.vsync)
        if not self.under_review:
            return [whole]
        return [(Proof.VSYNC_WITHOUT_REVIEW, xor(self.vsync, vsync(self.under_review))), whole]


@dataclass(frozen=True, slots=True)
class Verdict:
    """DICT's answer about one key type: what was proved, or None for NOK.

    `verified_vsync` is the VSync that DICT said OK to, `taken_out` the CIDs under review that it leaves out, and
    `answered_at` the time of the answer by DICT's clock.
    """

    key_type: str
    proof: Proof | None
    verified_vsync: bytes | None
    taken_out: frozenset[bytes]
    answered_at: datetime
    verification_id: int | None = None
    correlation_id: str | None = None

    @property
    def ok(self) -> bool:
        """Whether the key type is in sync, but for keys under review."""
        return self.proof is not None


def verify_once(client: DictClient, ours: LocalSet) -> Verdict:
    """Ask DICT about one key type, once; costs one token, or two where keys are under review."""
    for proof, candidate in ours.candidates():
        answer = client.create_sync_verification(ours.key_type, candidate)
        verification, at = answer.sync_verification, answer.response_time or client.now()
        if verification.result == "OK":
            taken_out = ours.under_review if proof is Proof.VSYNC_WITHOUT_REVIEW else frozenset()
            return Verdict(ours.key_type, proof, candidate, taken_out, at, verification.id, answer.correlation_id)
    return Verdict(ours.key_type, None, None, frozenset(), at, verification.id, answer.correlation_id)


def verify(
    client: DictClient, sets: Iterable[LocalSet], *, lag: float, sleep: Callable[[float], None]
) -> dict[str, Verdict]:
    """Ask DICT about each key type, and ask again about each NOK after `lag` seconds.

    A NOK right after a change can be a change still on its way (DICT API, listCidSetEvents: up to five seconds), so
    it is believed the second time only.
    """
    sets = list(sets)
    verdicts = {ours.key_type: verify_once(client, ours) for ours in sets}
    doubtful = [ours for ours in sets if not verdicts[ours.key_type].ok]
    if doubtful:
        log_wait(_log, lag, "DICT's event log to catch up")
        sleep(lag)
        verdicts |= {ours.key_type: verify_once(client, ours) for ours in doubtful}
    return verdicts
