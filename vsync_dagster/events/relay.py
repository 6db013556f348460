"""The relay: from the outbox to Pulsar, at least once, in the order of each participant's events.

A failure is no error of the sync: the events stay in the outbox, and the next relay takes them up. Two relays at once
publish some events twice but none out of order, since each goes through the unpublished ones from the first on.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from vsync_dagster.events.messages import message
from vsync_dagster.events.publisher import Publisher, PublishError, PublishRefusedError, Sent
from vsync_dagster.local_db import outbox
from vsync_dagster.local_db.database import Connection, Database

_log = logging.getLogger(__name__)

BATCH_SIZE = 500
LEFT_COUNTED = 10_000


@dataclass(frozen=True, slots=True)
class RelayResult:
    """How many events were published now, and how many wait on (counted up to 10,000).

    `warning` is one line that says why some wait on, or None.
    """

    published: int
    left: int
    warning: str | None = None


def relay(
    database: Database,
    url: str,
    topic: str,
    *,
    attempts: int = 7,
    timeout: int = 15,
    sleep: Callable[[float], None] = time.sleep,
) -> RelayResult:
    """Publish what waits in the outbox.

    Args:
        database: where the outbox is.
        url: the broker, `pulsar://host:port` or `pulsar+ssl://host:port`.
        topic: the topic's full name.
        attempts: tries for a batch, with 1, 2, 4, 8, 16 and 30 s between them.
        timeout: seconds for connecting, and for the broker to store a message.
        sleep: waits between the tries.

    Raises:
        TransientError: PostgreSQL failed, not the broker; events published since are published again.
        PermanentError: the same, and it will again.
    """
    published = 0

    def relay_batch(publisher: Publisher) -> bool:
        nonlocal published
        events = database.retrying(lambda connection: outbox.pending(connection, BATCH_SIZE))
        if not events:
            return False
        sent = publisher.send({event.id: message(event) for event in events})
        _write_down(database, [event.id for event in events], sent)
        published += len(sent.acknowledged)
        if sent.error is not None:
            raise sent.error
        return True

    retry = Retrying(
        retry=retry_if_exception_type(PublishError),
        stop=stop_after_attempt(attempts),
        wait=wait_exponential(multiplier=1, max=30),
        sleep=sleep,
        reraise=True,
    )
    try:
        with Publisher(url, topic, timeout) as publisher:
            while retry(relay_batch, publisher):
                pass
    except (PublishError, PublishRefusedError) as error:
        left = len(database.retrying(lambda connection: outbox.pending(connection, LEFT_COUNTED)))
        _log.warning("%d events wait in the outbox: %s", left, error)
        return RelayResult(published, left, str(error))
    return RelayResult(published, 0)


def _write_down(database: Database, events: list[int], sent: Sent) -> None:
    """Mark what was stored, and count the failed try on the first event that was not: it holds up the others."""
    stored = set(sent.acknowledged)
    waiting = [event for event in events if event not in stored]

    def write(connection: Connection) -> None:
        if stored:
            outbox.mark_published(connection, sent.acknowledged)
        if sent.error is not None and waiting:
            outbox.mark_failed(connection, waiting[0], sent.error.reason)

    database.retrying(write)
