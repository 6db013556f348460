"""DICT's token buckets (API 2.12.1, "Limitação de requisições"), one for each participant and policy.

A bucket starts full. It is kept in whole units, so many a token that every millisecond gains a whole number of them:
no rounding, whatever the steps in which time goes by.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from vsync_dagster.simulator.database import StateFile
from vsync_dagster.simulator.times import to_ms


@dataclass(frozen=True, slots=True)
class Limit:
    """A bucket's size in tokens and the tokens it gains every `refill_period_sec` seconds.

    DICT does not say how they come in: evenly, or with `in_steps` all of them when the period ends.
    """

    capacity: int
    refill_tokens: int
    refill_period_sec: int
    in_steps: bool = False


DOCUMENTED = {
    "SYNC_VERIFICATIONS_WRITE": Limit(50, 10, 60),
    "CIDS_FILES_WRITE": Limit(200, 40, 86_400),
    "CIDS_FILES_READ": Limit(50, 10, 60),
    "CIDS_EVENTS_LIST": Limit(100, 20, 60),
    "CIDS_ENTRIES_READ": Limit(36_000, 1_200, 60),
    "POLICIES_READ": Limit(200, 60, 60),
    "POLICIES_LIST": Limit(20, 6, 60),
    # Not charged by any operation simulated here, but DICT lists them all the same.
    "ENTRIES_WRITE": Limit(36_000, 1_200, 60),
    "ENTRIES_UPDATE": Limit(600, 600, 60),
    "KEYS_CHECK": Limit(70, 70, 60),
}

# What the bucket holds now: refilled since its last change, never beyond its size, never for a clock put back.
_LEVEL = "min(:capacity, units + max(:now - updated_at, 0) / :step * :gain)"
_REFILLED_AT = "updated_at + max(:now - updated_at, 0) / :step * :step"


class Buckets:
    """The buckets, shared by all threads and processes; `scope` is the ISPB that is charged."""

    def __init__(self, file: StateFile, now: Callable[[], datetime]) -> None:
        self._file = file
        self._now = now

    def take(self, scope: str, policy: str, limit: Limit) -> bool:
        """Take one token; False where there is none."""
        return self._spend(scope, policy, limit, 1) or (
            # No row changed: the bucket is empty, or it was never used under this limit.
            self._begin(scope, policy, limit) and self._spend(scope, policy, limit, 1)
        )

    def give_back(self, scope: str, policy: str, limit: Limit) -> None:
        """Give one token back: DICT does not count what it answered with 500."""
        self._spend(scope, policy, limit, -1)

    def level(self, scope: str, policy: str, limit: Limit) -> int:
        """Return the whole tokens there are."""
        found = self._file.connection.execute(
            f"SELECT {_LEVEL} / :unit FROM buckets WHERE scope = :scope AND policy = :policy AND unit_ms = :unit",  # noqa: S608
            self._parameters(scope, policy, limit),
        ).fetchone()
        return limit.capacity if found is None else int(found[0])

    def drain(self, scope: str, policy: str, limit: Limit) -> None:
        """Empty a bucket."""
        self._begin(scope, policy, limit)
        self._file.connection.execute(
            "UPDATE buckets SET units = 0, updated_at = :now WHERE scope = :scope AND policy = :policy",
            {"scope": scope, "policy": policy, "now": to_ms(self._now())},
        )

    def _spend(self, scope: str, policy: str, limit: Limit, tokens: int) -> bool:
        cost = tokens * limit.refill_period_sec * 1_000
        changed = self._file.connection.execute(
            f"UPDATE buckets SET units = min(:capacity, {_LEVEL} - :cost), updated_at = {_REFILLED_AT}"  # noqa: S608
            f" WHERE scope = :scope AND policy = :policy AND unit_ms = :unit AND {_LEVEL} >= :cost",
            self._parameters(scope, policy, limit) | {"cost": cost},
        )
        return changed.rowcount == 1

    def _begin(self, scope: str, policy: str, limit: Limit) -> bool:
        begun = self._file.connection.execute(
            "INSERT INTO buckets (scope, policy, units, unit_ms, updated_at)"
            " VALUES (:scope, :policy, :capacity, :unit, :now)"
            " ON CONFLICT (scope, policy) DO UPDATE SET units = :capacity, unit_ms = :unit, updated_at = :now"
            " WHERE unit_ms <> :unit",
            self._parameters(scope, policy, limit),
        )
        return begun.rowcount == 1

    def _parameters(self, scope: str, policy: str, limit: Limit) -> dict[str, int | str]:
        unit = limit.refill_period_sec * 1_000
        step = unit if limit.in_steps else 1
        return {
            "scope": scope,
            "policy": policy,
            "unit": unit,
            "capacity": limit.capacity * unit,
            "step": step,
            "gain": limit.refill_tokens * step,
            "now": to_ms(self._now()),
        }
