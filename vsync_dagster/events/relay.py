"""The relay: from the outbox to Pulsar, at least once, in the order of each participant's events.

A failure is no error of the sync: the events stay in the outbox, and the next relay takes them up. There is one relay
at a time for a database; whoever comes second leaves its events to the first.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from vsync_dagster.events.messages import message
from vsync_dagster.events.publisher import Publisher, PublishError, PublishRefusedError, Sent
from vsync_dagster.local_db import outbox
from vsync_dagster.local_db.database import Connection, Database, retry_transient
from vsync_dagster.local_db.outbox import OutboxMessage
from vsync_dagster.progress import log_retries

_log = logging.getLogger(__name__)

BATCH_SIZE = 2_000


@dataclass(frozen=True, slots=True)
class RelayResult:
    """How many events were published now, and how many wait on.

    `warning` is one line that says why some wait on, or None.
    """

    published: int
    left: int
    warning: str | None = None


@dataclass(slots=True)
class _Progress:
    """`held` are the participants of whom the broker refuses an event, with Pulsar's word for why.

    `error` has ended the relay; `elsewhere` tells that another one is at work.
    """

    published: int = 0
    held: dict[str, str] = field(default_factory=dict)
    error: PublishError | PublishRefusedError | None = None
    elsewhere: bool = False


def relay(
    database: Database,
    url: str,
    topic: str,
    *,
    attempts: int = 7,
    timeout: int = 15,
    sleep: Callable[[float], None] = time.sleep,
    enough: Callable[[], bool] = lambda: False,
    describe: Callable[[Exception], str] = str,
) -> RelayResult:
    """Publish what waits in the outbox, unless another relay is doing so.

    Args:
        database: where the outbox is.
        url: the broker, `pulsar://host:port` or `pulsar+ssl://host:port`.
        topic: the topic's full name.
        attempts: tries for a batch, with 1, 2, 4, 8, 16 and 30 s between them.
        timeout: seconds for connecting, and for the broker to store a message.
        sleep: waits between the tries.
        enough: asked before each batch; True leaves the rest to the next relay.
        describe: returns what the warning says of an error, such as its text with a link.

    Raises:
        TransientError: PostgreSQL failed, not the broker; events published since are published again.
        PermanentError: the same, and it will again.
    """
    progress = _Progress()
    retry = Retrying(
        retry=retry_if_exception_type(PublishError),
        stop=stop_after_attempt(attempts),
        wait=wait_exponential(multiplier=1, max=30),
        sleep=sleep,
        before_sleep=log_retries(_log, attempts),
        reraise=True,
    )

    def drain(publisher: Publisher) -> bool:
        with database.connect() as connection:
            progress.elsewhere = not outbox.try_relay(connection)
            if progress.elsewhere:
                return False
            try:
                while not enough() and retry(_relay_batch, connection, publisher, progress):
                    pass
            except (PublishError, PublishRefusedError) as error:
                progress.error = error
                return False
        # Whoever was turned away in the meantime has left its events to this relay.
        return not enough() and _any_left(database, progress)

    with Publisher(url, topic, timeout) as publisher:
        while retry_transient()(drain, publisher):
            pass
    return _result(database, progress, describe)


def _relay_batch(connection: Connection, publisher: Publisher, progress: _Progress) -> bool:
    """Publish the next events and write down what became of them; False where none is left.

    Raises:
        PublishError, PublishRefusedError: some were not published, and not for what they are.
    """
    events = outbox.pending(connection, BATCH_SIZE, progress.held)
    connection.commit()
    if not events:
        return False
    sent = publisher.send({event.id: message(event) for event in events})
    _write_down(connection, events, sent)
    progress.published += len(sent.acknowledged)
    progress.held |= {event.participant_ispb: sent.refused[event.id] for event in events if event.id in sent.refused}
    if sent.error is not None:
        raise sent.error
    return True


def _write_down(connection: Connection, events: list[OutboxMessage], sent: Sent) -> None:
    """Mark what was stored, and count the failed try on the first events that were not: they hold up the others."""
    outbox.mark_published(connection, sent.acknowledged)
    for number, reason in sent.refused.items():
        outbox.mark_failed(connection, number, reason)
    if sent.error is not None:
        told = {*sent.acknowledged, *sent.refused}
        outbox.mark_failed(connection, next(event.id for event in events if event.id not in told), sent.error.reason)
    connection.commit()


def _any_left(database: Database, progress: _Progress) -> bool:
    return bool(database.retrying(lambda connection: outbox.pending(connection, 1, progress.held)))


def _result(database: Database, progress: _Progress, describe: Callable[[Exception], str]) -> RelayResult:
    left = sum(each.events for each in database.retrying(outbox.waiting))
    warning = _warning(progress, describe) if left else None
    if warning is not None:
        _log.warning("%d events wait in the outbox: %s", left, warning)
    return RelayResult(progress.published, left, warning)


def _warning(progress: _Progress, describe: Callable[[Exception], str]) -> str | None:
    if progress.error is not None:
        return describe(progress.error)
    if progress.held:
        refused = ", ".join(f"{reason} for {ispb}" for ispb, reason in progress.held.items())
        return f"the broker refuses events, and those behind them wait: {refused}"
    return "another relay is publishing" if progress.elsewhere else None
