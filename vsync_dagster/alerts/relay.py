"""The relay: from the queue of alerts to each target, at least once.

Each target has a thread and a place of its own in the queue: one that is down, or slow, holds up no other.
"""

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from vsync_dagster.alerts.targets import Target, TargetError
from vsync_dagster.local_db import alert_targets
from vsync_dagster.local_db.database import Connection, Database

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RelayResult:
    """How many messages were taken, and one line for each target that took one not."""

    told: int
    warnings: tuple[str, ...] = ()


def relay(
    database: Database,
    targets: Sequence[Target],
    *,
    seconds: float = 30.0,
    clock: Callable[[], float] = time.monotonic,
) -> RelayResult:
    """Tell each target what it has to be told.

    Args:
        database: where the queue is.
        targets: whom to tell.
        seconds: when to begin no further message; what is left waits for the next relay.
        clock: seconds that pass.

    Raises:
        TransientError: PostgreSQL failed, not a target; what was told since is told again.
        PermanentError: the same, and it will again.
    """
    if not targets:
        return RelayResult(0)
    ends = clock() + seconds
    with ThreadPoolExecutor(len(targets)) as threads:
        results = list(threads.map(lambda target: _relay_to(database, target, lambda: clock() < ends), targets))
    return RelayResult(sum(result.told for result in results), sum((result.warnings for result in results), ()))


def _relay_to(database: Database, target: Target, has_time: Callable[[], bool]) -> RelayResult:
    if not database.retrying(partial(alert_targets.hold, target=target.name)):
        return RelayResult(0)

    def next_messages(connection: Connection) -> list[alert_targets.Message]:
        return alert_targets.pending(
            connection,
            target.name,
            minimum=target.minimum,
            repeat=target.repeat,
            limit=target.batch,
            silenced=target.silences,
        )

    told = 0
    while has_time() and (messages := database.retrying(next_messages)):
        try:
            target.tell(messages)
        except TargetError as error:
            _log.warning("%s", error)
            failed = partial(alert_targets.mark_failed, target=target.name, messages=messages, error=error.reason)
            database.retrying(failed)
            return RelayResult(told, (str(error),))
        database.retrying(partial(alert_targets.mark_told, target=target.name, messages=messages))
        told += len(messages)
    database.retrying(partial(alert_targets.let_go, target=target.name))
    return RelayResult(told)
