"""What the snapshots say of themselves; pydantic writes them as JSON, bytes as hexadecimal."""

from dataclasses import dataclass
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

    `request_id_alone` counts the keys that we hold with DICT's nine attributes, and with another request id.
    """

    proof: Proof | None
    source: Source
    request_id_alone: int = 0


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
        return [name for name, facts in self.key_types.items() if facts.source is Source.PENDING]


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
