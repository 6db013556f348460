"""The evidence of a call to DICT: what was asked, when, and what came back. Holds nothing personal."""

from dataclasses import dataclass
from datetime import datetime, timedelta

CLOCK_TOLERANCE = timedelta(seconds=5)
"""By how much two clocks may differ before a person should look."""


@dataclass(frozen=True, slots=True)
class DictCall:
    """One HTTP attempt. `operation` is DICT's operationId.

    `result` is DICT's own word where it has one (OK, NOK, a file's status, a problem type), FOUND for an entry, a count
    for a list, and where there was no usable answer one of the upper-case words of
    `vsync_dagster.dict_api.exchange.NoAnswerError`, MALFORMED, SIGNATURE_REFUSED or CERTIFICATE_REFUSED. `reference` is
    the id of a verification or file. Times are in UTC, `called_at` by our clock and `response_time` by DICT's.
    """

    operation: str
    participant: str
    key_type: str | None
    correlation_id: str | None
    response_time: datetime | None
    reference: str | None
    http_status: int | None
    result: str
    called_at: datetime
    duration_ms: int

    @property
    def clock_difference(self) -> timedelta | None:
        """By how much DICT's clock is ahead of ours, negative where it is behind; None where DICT told no time.

        DICT answered between our sending and our receiving: what lies in between is no difference.
        """
        if self.response_time is None:
            return None
        answered_by = self.called_at + timedelta(milliseconds=self.duration_ms)
        ahead = max(self.response_time - answered_by, timedelta(0))
        return ahead or min(self.response_time - self.called_at, timedelta(0))
