"""Events that wait to be published: written with what they tell of, in the same transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from vsync_dagster.local_db.database import Connection

_PENDING = """
select id, message_id, participant_ispb, event_type, payload, created_at, attempts
from outbox where published_at is null order by id limit %s
"""


@dataclass(frozen=True, slots=True)
class OutboxMessage:
    """An event to publish. `message_id` stays the same over attempts: receivers know a repetition by it."""

    id: int
    message_id: UUID
    participant_ispb: str
    event_type: str
    payload: Mapping[str, Any]
    created_at: datetime
    attempts: int


def add(conn: Connection, ispb: str, event_type: str, payload: Mapping[str, Any]) -> None:
    """Add an event to the caller's transaction. The payload is published as it is: nothing personal in it."""
    conn.execute(
        "insert into outbox (participant_ispb, event_type, payload) values (%s, %s, %s)",
        [ispb, event_type, Jsonb(dict(payload))],
    )


def pending(conn: Connection, limit: int) -> list[OutboxMessage]:
    """Return the oldest events that are not published yet, in the order in which they were added."""
    with conn.cursor(row_factory=class_row(OutboxMessage)) as cursor:
        return cursor.execute(_PENDING, [limit]).fetchall()


def mark_published(conn: Connection, ids: Sequence[int]) -> None:
    """Take events out of `pending`."""
    conn.execute(
        "update outbox set published_at = now(), attempts = attempts + 1, last_error = null where id = any(%s)",
        [list(ids)],
    )


def mark_failed(conn: Connection, message_id: int, error: str) -> None:
    """Count a failed attempt; the event stays pending. `error` is the error's class, not its text."""
    conn.execute("update outbox set attempts = attempts + 1, last_error = %s where id = %s", [error, message_id])
