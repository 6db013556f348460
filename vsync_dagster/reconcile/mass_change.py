"""When a sync wants to change so much that the fault is more likely ours: a restored backup, a wrong encoding."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limit:
    """How many keys a sync may change unasked: `share` of the participant's keys, and at least `keys`."""

    share: float
    keys: int

    def of(self, participants_keys: int) -> int:
        """Return the limit for a participant that holds so many keys."""
        return max(self.keys, int(self.share * participants_keys))


@dataclass(frozen=True, slots=True)
class Permission:
    """Who lets one sync change more, and why; without keys or names of customers."""

    person: str
    reason: str


def objection(changes: int, participants_keys: int, limit: Limit) -> str | None:
    """Say why a sync must not go on by itself, if it must not.

    Args:
        changes: keys to create, to update and to put up for review.
        participants_keys: the active keys in our base. DICT's number is no measure: in a base that was emptied, every
            key is a change, and the limit must be small.
        limit: what is permitted.
    """
    permitted = limit.of(participants_keys)
    if changes <= permitted:
        return None
    return f"{changes} of {participants_keys} keys would change, more than the {permitted} that may change unasked"


def shrinkage(verified_keys: int | None, dict_keys: int, limit: Limit) -> str | None:
    """Say why a sync must not go on by itself, if DICT's set has lost too much since it was last verified.

    Args:
        verified_keys: keys in DICT's set when it was last verified; None where it never was.
        dict_keys: keys in it now.
        limit: what may be lost unasked.
    """
    if verified_keys is None or verified_keys - dict_keys <= (permitted := limit.of(verified_keys)):
        return None
    return (
        f"DICT's set has shrunk from {verified_keys} keys, when it was last verified, to {dict_keys}: more than the"
        f" {permitted} that it may lose unasked"
    )
