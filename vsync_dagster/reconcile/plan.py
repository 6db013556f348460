"""What DICT's budgets permit: how many tokens a sync needs, when it will have them, and when to go on with the rest.

Source: DICT API 2.12.1, "Limitação de requisições": a bucket of tokens a policy, which refills steadily up to its size.
Buckets refill side by side, so that the slowest one tells when a sync ends; what the calls take by themselves is not
counted.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

# Refills add fractions; without a tolerance a rounding error would cost a token.
_TOLERANCE = 1e-6

# However much DICT grants: a log that has no end must end.
MOST_PAGES = 1_000


@dataclass(frozen=True, slots=True)
class Bucket:
    """The state of one policy's bucket: the tokens it can hold, holds now, and gains a second."""

    capacity: int
    tokens: float
    tokens_per_second: float

    def seconds_for(self, tokens: float) -> float:
        """Return the seconds until so many tokens can have been spent, one after the other."""
        return max(tokens - self.tokens, 0.0) / self.tokens_per_second

    def tokens_within(self, seconds: float) -> int:
        """Return how many tokens can be spent within so many seconds."""
        return math.floor(self.tokens + seconds * self.tokens_per_second + _TOLERANCE)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a sync has still to ask of DICT.

    Attributes:
        tokens: the tokens needed, by policy.
        granted: those of them that can be had in time, by policy.
        seconds: until the last of those granted is there.
        seconds_for_all: until the last of all is there.
    """

    tokens: dict[str, int]
    granted: dict[str, int]
    seconds: float
    seconds_for_all: float

    def missing(self) -> dict[str, int]:
        """Return the tokens that cannot be had in time, by policy."""
        return {name: left for name, needed in self.tokens.items() if (left := needed - self.granted[name])}

    def line(self) -> str:
        """Return the plan in a line for people."""
        needed = ", ".join(f"{tokens} {name}" for name, tokens in self.tokens.items() if tokens) or "nothing"
        text = f"still to ask of DICT: {needed}; its budgets grant that within {self.seconds_for_all:.0f} s"
        missing = ", ".join(f"{tokens} {name}" for name, tokens in self.missing().items())
        return f"{text}; {missing} are left for another sync" if missing else text


def plan(buckets: Mapping[str, Bucket], tokens: Mapping[str, int], longest_wait: float) -> Plan:
    """Return what a sync that waits at most so many seconds for DICT's budgets can do of what it needs."""
    granted = {name: min(needed, buckets[name].tokens_within(longest_wait)) for name, needed in tokens.items()}
    return Plan(dict(tokens), granted, _seconds(buckets, granted), _seconds(buckets, tokens))


def seconds_to_resume(buckets: Mapping[str, Bucket], tokens: Mapping[str, int], longest_wait: float) -> float:
    """Return the seconds until a sync that waits so long can do the rest; if none can, until the buckets are full."""
    at_once = {
        name: min(max(needed - longest_wait * buckets[name].tokens_per_second, 1), buckets[name].capacity)
        for name, needed in tokens.items()
        if needed
    }
    return _seconds(buckets, at_once)


def pages_worth_reading(event_log: Bucket, cid_files: Bucket, longest_wait: float) -> int:
    """Return how many pages of the event log cost no more than a CID file does.

    A file costs a token of a bucket that refills every 36 minutes, so the log is read as far as pages are to be had
    by the time at which a file could be asked for. One page is kept for what happens after the file was made.
    """
    pages = event_log.tokens_within(min(cid_files.seconds_for(1), longest_wait)) - 1
    return min(max(pages, 1), MOST_PAGES)


def _seconds(buckets: Mapping[str, Bucket], tokens: Mapping[str, float]) -> float:
    return max((buckets[name].seconds_for(needed) for name, needed in tokens.items()), default=0.0)
