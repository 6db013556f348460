"""Which call a signed problem document belongs to.

Unlike DICT's other answers, a problem does not repeat what was asked: a signed "not found" about one CID could be
replayed as the answer about another. What it has is a CorrelationId, which DICT makes for one call.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass, field

_REMEMBERED = 50_000


@dataclass(frozen=True, slots=True)
class AnsweredCalls:
    """The latest CorrelationIds of problem documents, with the request that each answered. Safe for threads."""

    _requests: OrderedDict[str, str] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def is_new(self, correlation_id: str, request: str) -> bool:
        """Remember what a CorrelationId answered; False if it answered another request before."""
        with self._lock:
            known = self._requests.setdefault(correlation_id, request) == request
            if len(self._requests) > _REMEMBERED:
                self._requests.popitem(last=False)
            return known
