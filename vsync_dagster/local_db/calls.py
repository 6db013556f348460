"""The evidence of every call to DICT."""

from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

from vsync_dagster.local_db.database import Connection

_INSERT = """
insert into dict_calls (
    run_id, participant_ispb, operation, key_type, correlation_id, response_time, reference, http_status, result,
    called_at, duration_ms
)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""


class Call(Protocol):
    """One attempt at a call: what was asked, and what came back, if anything did.

    `reference` is the id of the verification or of the CID set file; times are in UTC.
    """

    @property
    def operation(self) -> str: ...
    @property
    def participant(self) -> str: ...
    @property
    def key_type(self) -> str | None: ...
    @property
    def correlation_id(self) -> str | None: ...
    @property
    def response_time(self) -> datetime | None: ...
    @property
    def reference(self) -> str | None: ...
    @property
    def http_status(self) -> int | None: ...
    @property
    def result(self) -> str | None: ...
    @property
    def called_at(self) -> datetime: ...
    @property
    def duration_ms(self) -> int: ...


def record(conn: Connection, run_id: str | None, calls: Iterable[Call]) -> None:
    """Keep calls; `run_id` is None for those that no run made."""
    rows = [
        (
            run_id,
            call.participant,
            call.operation,
            call.key_type,
            call.correlation_id,
            call.response_time,
            call.reference,
            call.http_status,
            call.result,
            call.called_at,
            call.duration_ms,
        )
        for call in calls
    ]
    with conn.cursor() as cursor:
        cursor.executemany(_INSERT, rows)
