"""What the evidence about a key that only we hold says, and which decision it suggests. A person decides."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

# A creation is on its way to DICT for minutes, not hours.
_FRESH = timedelta(hours=1)

# By the outcome of the second look.
ANSWERS = {
    "GONE": "DICT answered 404, no such entry, at {time}, CorrelationId {correlation}",
    "NOT_OURS": "DICT answered 403, not for us to see, at {time}, CorrelationId {correlation}",
}


@dataclass(frozen=True, slots=True)
class Fact:
    """A sentence with its values apart, so that it can be told in another language; `str` tells it in English."""

    sentence: str
    values: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return the sentence with its values in it."""
        return self.sentence.format(**self.values)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A decision's name, and the facts that speak for it, one sentence each; nothing personal."""

    decision: str
    facts: tuple[Fact, ...]


def suggest(evidence: Mapping[str, Any], created_at: datetime | None, put_up_at: datetime) -> Suggestion:
    """Return what to make of an item.

    Args:
        evidence: as the sync wrote it: `dict_removed_at`, `second_look`, `second_look_at`,
            `second_look_correlation_id`, times in ISO 8601; any of them may be missing.
        created_at: when the row was created here, if it is still there.
        put_up_at: when the item was put up for review.
    """
    removed_at = evidence.get("dict_removed_at")
    facts = [
        Fact("DICT's log says REMOVED at {time}", {"time": _time(removed_at)})
        if removed_at
        else Fact("DICT's log does not tell of a removal")
    ]
    if created_at is not None:
        facts.append(_age(put_up_at - created_at))
    if evidence.get("second_look_at"):
        answer = {
            "answer": evidence.get("second_look"),
            "time": _time(evidence["second_look_at"]),
            "correlation": evidence.get("second_look_correlation_id") or "-",
        }
        otherwise = "DICT answered {answer} at {time}, CorrelationId {correlation}"
        facts.append(Fact(ANSWERS.get(str(answer["answer"]), otherwise), answer))
    if evidence.get("second_look") == "NOT_OURS" and removed_at:
        facts.append(
            Fact("this key was ours until {time}; DICT tells us nothing of it since", {"time": _time(removed_at)})
        )
    elif evidence.get("second_look") == "NOT_OURS":
        facts.append(Fact("DICT tells nothing of this CID to us: it may be another participant's"))
    return Suggestion(_decision(evidence, created_at, put_up_at), tuple(facts))


def _decision(evidence: Mapping[str, Any], created_at: datetime | None, put_up_at: datetime) -> str:
    if evidence.get("dict_removed_at"):
        return "CONFIRM_DELETION"
    if created_at is not None and timedelta(0) <= put_up_at - created_at < _FRESH:
        return "KEEP"
    return "INVESTIGATE"


def _age(age: timedelta) -> Fact:
    minutes = int(age.total_seconds() // 60)
    if abs(minutes) < 120:
        return Fact("created here {minutes} minutes before it was put up for review", {"minutes": minutes})
    if abs(minutes) < 120 * 60:
        return Fact("created here {hours} hours before it was put up for review", {"hours": minutes // 60})
    return Fact("created here {days} days before it was put up for review", {"days": minutes // (24 * 60)})


def _time(text: str) -> str:
    """Return a time as people read it, to the second."""
    return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
