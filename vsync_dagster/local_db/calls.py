"""The evidence of every call to DICT."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from psycopg.rows import class_row

from vsync_dagster.local_db.database import Connection

_INSERT = """
insert into dict_calls (
    run_id, participant_ispb, operation, key_type, correlation_id, response_time, reference, http_status, result,
    called_at, duration_ms
)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""

_VERIFICATIONS = """
select key_type, result, correlation_id, reference, http_status, response_time, called_at from dict_calls
where run_id = %s and operation = 'createSyncVerification' order by called_at, id
"""

_OTHERS = """
select operation, key_type, result, http_status, correlation_id, called_at from dict_calls
where run_id = %s and operation <> 'createSyncVerification' order by called_at, id limit %s
"""


# DICT answered between the sending of a call and the receiving of its answer.
_CLOCK = """
select max(greatest(
    extract(epoch from response_time - called_at) - duration_ms / 1000.0,
    extract(epoch from called_at - response_time),
    0
))::float8
from dict_calls where run_id = %s and response_time is not null
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


@dataclass(frozen=True, slots=True)
class Verification:
    """An attempt at a sync verification; `reference` is its id at DICT. What never came back is None."""

    key_type: str | None
    result: str | None
    correlation_id: str | None
    reference: str | None
    http_status: int | None
    response_time: datetime | None
    called_at: datetime


@dataclass(frozen=True, slots=True)
class OtherCall:
    """An attempt at a call that is no sync verification. What never came back is None."""

    operation: str
    key_type: str | None
    result: str | None
    http_status: int | None
    correlation_id: str | None
    called_at: datetime


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


def verifications(conn: Connection, run_id: str) -> list[Verification]:
    """Return the sync verifications of a run, in order: what its report's proof rests on."""
    with conn.cursor(row_factory=class_row(Verification)) as cursor:
        return cursor.execute(_VERIFICATIONS, [run_id]).fetchall()


def others(conn: Connection, run_id: str, limit: int) -> list[OtherCall]:
    """Return the first calls of a run that are no sync verifications, in order."""
    with conn.cursor(row_factory=class_row(OtherCall)) as cursor:
        return cursor.execute(_OTHERS, [run_id, limit]).fetchall()


def clock_difference(conn: Connection, run_id: str) -> float | None:
    """Return by how many seconds our clock and DICT's differed, by a run's calls; None where DICT told no time."""
    [(seconds,)] = conn.execute(_CLOCK, [run_id]).fetchall()
    return None if seconds is None else float(seconds)
