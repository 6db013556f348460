"""Holding a participant's lease while a run works: waiting for it, and renewing it in the background."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from vsync_dagster.local_db import leases
from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.leases import Fence, Holder
from vsync_dagster.reconcile.errors import TransientError, VsyncError

_log = logging.getLogger(__name__)

_POLL_S = 1.0
_TELL_EVERY_S = 60.0
# Of the time that the lease lasts: two renewals may fail before another run takes over.
_RENEW_AFTER = 1 / 3


class LeaseHeldError(TransientError):
    """Another run works on the participant, and did not end while this one waited."""


@dataclass(frozen=True, slots=True)
class Lease:
    """One run's lease of one participant: how long it lasts without a renewal, and how long to wait for it."""

    database: Database
    fence: Fence
    host: str
    seconds: float
    max_wait: float
    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic

    @contextmanager
    def held(self, *, then_release: bool) -> Iterator[None]:
        """Hold the lease while the block runs; it stays the run's own afterwards, unless that is to be its end.

        An error in the block ends the run, and so releases the lease too. A process that is killed releases nothing:
        its lease expires.

        Raises:
            LeaseHeldError: another run holds it, and has not ended after `max_wait`.
            SupersededRunError: the run had it before, and another run has taken it since.
        """
        self._wait_for_it()
        try:
            with self._renewed():
                yield
        except BaseException:
            self._release()
            raise
        if then_release:
            self._release()

    def _wait_for_it(self) -> None:
        began, told_at = self.monotonic(), float("-inf")
        while not self._acquire():
            holder = self.database.retrying(lambda connection: leases.holder(connection, self.fence.ispb))
            if self.monotonic() - began >= self.max_wait:
                raise LeaseHeldError(
                    f"{self.fence.ispb} is being worked on by {_name(holder)}; run it again when that one has ended"
                )
            if self.monotonic() - told_at >= _TELL_EVERY_S:
                waited = self.monotonic() - began
                _log.info(
                    "%s: waiting for %s (%.0f of at most %.0f s)", self.fence.ispb, _name(holder), waited, self.max_wait
                )
                told_at = self.monotonic()
            self.sleep(_POLL_S)

    def _acquire(self) -> bool:
        return self.database.retrying(
            lambda connection: leases.acquire(connection, self.fence, self.host, self.seconds), sleep=self.sleep
        )

    @contextmanager
    def _renewed(self) -> Iterator[None]:
        stopped = threading.Event()
        thread = threading.Thread(target=self._renew_until, args=[stopped], name="sync-lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stopped.set()
            thread.join()

    def _renew_until(self, stopped: threading.Event) -> None:
        while not stopped.wait(self.seconds * _RENEW_AFTER):
            try:
                with self.database.connect() as connection:
                    if not leases.renew(connection, self.fence, self.seconds):
                        return
            except VsyncError as error:
                _log.warning("%s: the lease could not be renewed: %s", self.fence.ispb, error)

    def _release(self) -> None:
        """Let go; where that fails the lease expires by itself, and what the run has done stands."""
        try:
            with self.database.connect() as connection:
                leases.release(connection, self.fence)
        except VsyncError as error:
            _log.warning("%s: the lease could not be released: %s", self.fence.ispb, error)


def _name(holder: Holder | None) -> str:
    return str(holder) if holder else "a run that has just ended"
