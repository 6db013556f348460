"""What the evidence about a key that only we hold says, and which decision it suggests. A person decides."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

# A creation is on its way to DICT for minutes, not hours.
_FRESH = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A decision's name, and the facts that speak for it, one sentence each; nothing personal."""

    decision: str
    facts: tuple[str, ...]


def suggest(evidence: Mapping[str, Any], created_at: datetime | None, put_up_at: datetime) -> Suggestion:
    """Return what to make of an item.

    Args:
        evidence: as the sync wrote it: `dict_removed_at`, `second_look`, `second_look_at`,
            `second_look_correlation_id`, times in ISO 8601; any of them may be missing.
        created_at: when the row was created here, if it is still there.
        put_up_at: when the item was put up for review.
    """
    removed_at = evidence.get("dict_removed_at")
    facts = [f"DICT's log says REMOVED at {removed_at}" if removed_at else "DICT's log does not tell of a removal"]
    if created_at is not None:
        facts.append(f"created here {_age(put_up_at - created_at)} before it was put up for review")
    if evidence.get("second_look_at"):
        correlation = evidence.get("second_look_correlation_id") or "none"
        facts.append(
            f"DICT answered {evidence.get('second_look')} at {evidence['second_look_at']}, CorrelationId {correlation}"
        )
    if evidence.get("second_look") == "NOT_OURS":
        facts.append("DICT tells nothing of this CID to us: it may be another participant's")
    return Suggestion(_decision(evidence, created_at, put_up_at), tuple(facts))


def _decision(evidence: Mapping[str, Any], created_at: datetime | None, put_up_at: datetime) -> str:
    if evidence.get("dict_removed_at"):
        return "CONFIRM_DELETION"
    if created_at is not None and timedelta(0) <= put_up_at - created_at < _FRESH:
        return "KEEP"
    return "INVESTIGATE"


def _age(age: timedelta) -> str:
    minutes = int(age.total_seconds() // 60)
    return f"{minutes} minutes" if abs(minutes) < 120 else f"{minutes // 60} hours"
