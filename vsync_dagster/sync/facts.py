"""What the snapshots say of themselves; pydantic writes them as JSON, bytes as hexadecimal."""

from dataclasses import dataclass, field
from datetime import datetime

from pydantic import ConfigDict

from vsync_dagster.reconcile.plan import Plan
from vsync_dagster.reconcile.status import Proof, Source, SyncType
from vsync_dagster.sync.verification import LocalSet

_JSON = ConfigDict(ser_json_bytes="hex", val_json_bytes="hex")


@dataclass(frozen=True, slots=True)
class LocalFacts:
    """Our sets by key type at `taken_at` (our database's clock), and the transaction snapshot they were read in."""

    __pydantic_config__ = _JSON

    run_id: str
    sync_type: SyncType
    started_at: datetime
    taken_at: datetime
    pg_snapshot: str
    cluster: str
    sets: dict[str, LocalSet]

    @property
    def entries(self) -> int:
        """How many active entries we held."""
        return sum(ours.entries for ours in self.sets.values())

    @property
    def whole(self) -> bool:
        """Whether the table was read whole; else the sets were carried forward, and the snapshot has no CIDs."""
        return not any(ours.carried for ours in self.sets.values())


@dataclass(frozen=True, slots=True)
class KeyTypeFacts:
    """What DICT said of one key type (no proof is NOK), and how its set was learnt.

    Attributes:
        proof: what DICT's first verdict proved.
        source: what told its set from ours.
        request_id_alone: the keys that we hold with DICT's nine attributes, and with another request id.
        pending_because: why the set could not be learnt, where that was not for want of budget.
        unreadable: CIDs (hexadecimal) that DICT cannot answer for, each with its problem type and CorrelationId.
        contradiction: what shows that DICT contradicts its own file: the file, and the verification that said NOK.
    """

    proof: Proof | None
    source: Source
    request_id_alone: int = 0
    pending_because: str | None = None
    unreadable: dict[str, str] = field(default_factory=dict)
    contradiction: str | None = None


@dataclass(frozen=True, slots=True)
class DictFacts:
    """Which local snapshot DICT was compared with, until when its log was read (DICT's clock), and the verdicts.

    `plan` is what was planned before the look-ups.
    """

    __pydantic_config__ = _JSON

    local_snapshot: str
    read_until: datetime
    key_types: dict[str, KeyTypeFacts]
    plan: Plan

    def not_compared(self) -> list[str]:
        """Return the key types whose set could not be learnt before DICT's budget ended."""
        return [
            name
            for name, facts in self.key_types.items()
            if facts.source is Source.PENDING and facts.pending_because is None
        ]

    def unreadable(self) -> dict[bytes, str]:
        """Return the CIDs that DICT cannot answer for, each with its problem type and CorrelationId."""
        return {bytes.fromhex(cid): why for facts in self.key_types.values() for cid, why in facts.unreadable.items()}


@dataclass(frozen=True, slots=True)
class ComparedFacts:
    """Which `bacen_snapshot` the discrepancies were told from."""

    bacen_snapshot: str


@dataclass(frozen=True, slots=True)
class FixFacts:
    """Which discrepancies were repaired and when, and whether nothing was to be changed."""

    discrepancies: str
    dry_run: bool
    repaired_at: datetime | None = None
