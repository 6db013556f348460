"""What DICT's budgets allow one sync: asked before the work, and again when some of it had to be left."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from vsync_dagster.dict_api.budget import (
    CIDS_ENTRIES_READ,
    CIDS_EVENTS_LIST,
    CIDS_FILES_READ,
    CIDS_FILES_WRITE,
    SYNC_VERIFICATIONS_WRITE,
    Budget,
)
from vsync_dagster.dict_api.client import MAX_EVENTS_A_PAGE
from vsync_dagster.reconcile import plan
from vsync_dagster.reconcile.plan import Bucket, Plan


@dataclass(frozen=True, slots=True)
class Allowance:
    """The budgets that a sync shares with others, and the longest that it waits for them, in seconds.

    A plan is made of what the buckets hold at that moment. Another sync may spend meanwhile, so that this one is later.
    """

    budget: Budget
    longest_wait: float

    def pages_worth_reading(self, own_changes: int) -> int:
        """Return how many pages of a key type's event log to read at most, 0 where the CID file costs less.

        Args:
            own_changes: how many CIDs came and went here since the log was read: DICT's log holds about as many.
        """
        event_log, cid_files = self.budget.bucket(CIDS_EVENTS_LIST), self.budget.bucket(CIDS_FILES_WRITE)
        worth_reading = plan.pages_worth_reading(event_log, cid_files, self.longest_wait)
        return worth_reading if own_changes <= worth_reading * MAX_EVENTS_A_PAGE else 0

    def cid_files(self) -> int:
        """Return how many CID files can be asked for in time."""
        return self.budget.bucket(CIDS_FILES_WRITE).tokens_within(self.longest_wait)

    def plan(self, *, look_ups: int, second_looks: int, to_prove: int) -> Plan:
        """Return the plan for what comes once the sets are known: look-ups, repair and proof.

        Args:
            look_ups: CIDs that we do not hold.
            second_looks: CIDs that only we hold: each is looked up before its key is put up for review.
            to_prove: how many key types are not in sync.
        """
        tokens = {
            CIDS_ENTRIES_READ: look_ups + second_looks,
            CIDS_EVENTS_LIST: to_prove,
            SYNC_VERIFICATIONS_WRITE: to_prove,
        }
        return plan.plan(self._buckets(tokens), tokens, self.longest_wait)

    def seconds_to_resume(self, *, look_ups: int, not_compared: Collection[str], to_prove: int) -> float:
        """Return the seconds until another sync can do what was left, or as much of it as one sync can."""
        tokens = {
            CIDS_ENTRIES_READ: look_ups,
            CIDS_EVENTS_LIST: len(not_compared),
            CIDS_FILES_READ: len(not_compared),
            CIDS_FILES_WRITE: len(not_compared),
            SYNC_VERIFICATIONS_WRITE: to_prove,
        }
        return plan.seconds_to_resume(self._buckets(tokens), tokens, self.longest_wait)

    def _buckets(self, tokens: Mapping[str, int]) -> dict[str, Bucket]:
        return {policy: self.budget.bucket(policy) for policy in tokens}
