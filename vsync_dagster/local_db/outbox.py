"""Events that wait to be published: written with what they tell of, in the same transaction.

A trigger gives the ids: the events of one participant become visible in the order of their ids.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from vsync_dagster.local_db.database import Connection

# Any number will do, as long as every version of this program takes the same.
_RELAY_LOCK = 7_281_934_650_113

_PENDING = """
select id, message_id, participant_ispb, event_type, payload, created_at, attempts
from outbox where published_at is null and participant_ispb <> all(%s) order by id limit %s
"""

_WAITING = """
select participant_ispb, count(*), min(created_at), (array_agg(attempts order by id))[1],
    (array_agg(last_error order by id))[1]
from outbox where published_at is null group by participant_ispb order by min(created_at), participant_ispb
"""

_PUBLISH_AGAIN = """
update outbox set published_at = null
where published_at is not null
    and (%(message_ids)s::uuid[] is null or message_id = any(%(message_ids)s))
    and (%(ispb)s::text is null or participant_ispb = %(ispb)s)
    and created_at >= coalesce(%(since)s::timestamptz, '-infinity')
    and created_at < coalesce(%(until)s::timestamptz, 'infinity')
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


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits of one participant. `attempts` and `last_error` are of the first event, which holds up the others."""

    participant_ispb: str
    events: int
    oldest: datetime
    attempts: int
    last_error: str | None


def add(conn: Connection, ispb: str, event_type: str, payload: Mapping[str, Any]) -> None:
    """Add an event to the caller's transaction. The payload is published as it is: nothing personal in it.

    Until that transaction ends, no other adds an event of the same participant.
    """
    conn.execute(
        "insert into outbox (participant_ispb, event_type, payload) values (%s, %s, %s)",
        [ispb, event_type, Jsonb(dict(payload))],
    )


def pending(conn: Connection, limit: int, held: Collection[str] = ()) -> list[OutboxMessage]:
    """Return the oldest events that are not published, in their order, without those of the participants in `held`."""
    with conn.cursor(row_factory=class_row(OutboxMessage)) as cursor:
        return cursor.execute(_PENDING, [list(held), limit]).fetchall()


def waiting(conn: Connection) -> list[Waiting]:
    """Return what waits by participant, those that wait longest first."""
    return [Waiting(*row) for row in conn.execute(_WAITING)]


def mark_published(conn: Connection, ids: Sequence[int]) -> None:
    """Take events out of `pending`."""
    conn.execute(
        "update outbox set published_at = now(), attempts = attempts + 1, last_error = null where id = any(%s)",
        [list(ids)],
    )


def mark_failed(conn: Connection, message_id: int, error: str) -> None:
    """Count a failed attempt; the event stays pending. `error` is the error's class, not its text."""
    conn.execute("update outbox set attempts = attempts + 1, last_error = %s where id = %s", [error, message_id])


def publish_again(
    conn: Connection,
    *,
    message_ids: Collection[UUID] | None = None,
    ispb: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> int:
    """Put events that were published back into `pending`, and return how many.

    Args:
        message_ids: only these.
        ispb: only this participant's.
        since: only those created at this time or later.
        until: only those created before this time.
    """
    chosen = {"message_ids": message_ids and list(message_ids), "ispb": ispb, "since": since, "until": until}
    return conn.execute(_PUBLISH_AGAIN, chosen).rowcount


def try_relay(conn: Connection) -> bool:
    """Become the one relay of this database until the connection is closed; False where another is."""
    row = conn.execute("select pg_try_advisory_lock(%s)", [_RELAY_LOCK]).fetchone()
    return bool(row and row[0])
