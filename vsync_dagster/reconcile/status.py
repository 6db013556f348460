"""How a sync ended, and what was proved."""

from enum import StrEnum


class Status(StrEnum):
    """The outcome of a sync, in the words of the owner's description."""

    COMPLETED = "COMPLETED"
    PARTIAL = "PARTIAL"
    FAILED = "FAILED"

    @property
    def exit_code(self) -> int:
        """The exit code of `vsync sync`: 0 COMPLETED, 1 PARTIAL, 2 FAILED; of several syncs the worst counts."""
        return list(Status).index(self)


class SyncType(StrEnum):
    """INCREMENTAL follows the event log since the last verification; FULL takes the CID file and checks every CID."""

    FULL = "FULL"
    INCREMENTAL = "INCREMENTAL"


class Source(StrEnum):
    """What told DICT's set apart from ours for one key type; PENDING: nothing, DICT's budget ended first."""

    VERIFIED = "VERIFIED"
    EVENTS = "EVENTS"
    CID_FILE = "CID_FILE"
    PENDING = "PENDING"


class Proof(StrEnum):
    """What shows that a key type is in sync.

    `VSYNC`: DICT answered OK to the VSync of all our active keys. `VSYNC_WITHOUT_REVIEW`: it answered OK with the
    keys under review taken out, so nothing else differs. `EVENT_CHAIN`: our VSync at one moment equals DICT's at one
    event of its log, while the set moved too fast for a verification to land.
    """

    VSYNC = "VSYNC"
    VSYNC_WITHOUT_REVIEW = "VSYNC_WITHOUT_REVIEW"
    EVENT_CHAIN = "EVENT_CHAIN"


def decide(*, left_undone: int, proved: bool) -> Status:
    """Return the status of a sync whose snapshots and comparison could be made."""
    return Status.COMPLETED if proved and left_undone == 0 else Status.PARTIAL
