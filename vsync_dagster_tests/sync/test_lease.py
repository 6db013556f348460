"""Waiting for a participant's lease, and holding on to it."""

import logging
import threading
from collections.abc import Callable

import pytest

from vsync_dagster.local_db import leases
from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.leases import Fence, Holder
from vsync_dagster.sync.lease import Lease, LeaseHeldError
from vsync_dagster_tests.waiting import wait_until
from vsync_dagster_tests.world import ISPB

MINE, OTHERS = Fence(ISPB, "my-run"), Fence(ISPB, "other-run")


class Sleep:
    """Does something in the place of each pause."""

    def __init__(self, then: Callable[[int], None] = lambda _: None) -> None:
        self.slept, self.then = list[float](), then

    def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.then(len(self.slept))


def lease(database: Database, sleep: Sleep, seconds: float = 3_600) -> Lease:
    """My run's, on a clock that only its own pauses move."""
    return Lease(database, MINE, "my-host", seconds, 5, sleep, lambda: sum(sleep.slept))


def take(database: Database, fence: Fence) -> None:
    assert database.retrying(lambda connection: leases.acquire(connection, fence, "other-host", 3_600))


def holder(database: Database) -> Holder:
    found = database.retrying(lambda connection: leases.holder(connection, ISPB))
    assert found is not None
    return found


def test_it_waits_until_the_other_has_ended_and_is_told_for_whom(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    take(database, OTHERS)

    def end_at_the_third(pause: int) -> None:
        if pause == 3:
            database.retrying(lambda connection: leases.release(connection, OTHERS))

    sleep = Sleep(end_at_the_third)
    with caplog.at_level(logging.INFO), lease(database, sleep).held(then_release=False):
        assert holder(database).run_id == "my-run"
    assert len(sleep.slept) == 3
    [told] = [record.getMessage() for record in caplog.records]
    assert told.startswith(f"{ISPB}: waiting for run other-run on other-host, at work since 20")
    assert told.endswith(" (0 of at most 5 s)")


def test_it_does_not_wait_for_ever(database: Database) -> None:
    take(database, OTHERS)
    held = lease(database, Sleep()).held(then_release=True)
    with pytest.raises(LeaseHeldError, match=f"{ISPB} is being worked on by run other-run on other-host"), held:
        pytest.fail("two at once")
    assert holder(database).run_id == "other-run"


def test_it_is_kept_between_steps_and_released_after_the_last(database: Database) -> None:
    with lease(database, Sleep()).held(then_release=False):
        pass
    assert not holder(database).expired
    with lease(database, Sleep()).held(then_release=True):
        assert not holder(database).expired
    assert holder(database).expired


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_releases_it(database: Database, error: type[BaseException]) -> None:
    with pytest.raises(error), lease(database, Sleep()).held(then_release=False):
        raise error
    assert holder(database).expired


def test_it_is_renewed_while_the_step_works(database: Database) -> None:
    with lease(database, Sleep(), seconds=0.03).held(then_release=False):
        wait_until(lambda: not holder(database).expired, "the lease is not renewed")
        database.retrying(lambda connection: connection.execute("update sync_leases set expires_at = '-infinity'"))
        wait_until(lambda: not holder(database).expired, "the lease is not renewed again")
    assert not [thread for thread in threading.enumerate() if thread.name == "sync-lease"]


def test_a_renewal_that_fails_is_told_and_tried_again(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    with lease(database, Sleep(), seconds=0.03).held(then_release=False):
        database.retrying(lambda connection: connection.execute("alter table sync_leases rename to away"))
        wait_until(lambda: "the lease could not be renewed" in caplog.text, "the failure is not logged")
        database.retrying(lambda connection: connection.execute("alter table away rename to sync_leases"))
        database.retrying(lambda connection: connection.execute("update sync_leases set expires_at = '-infinity'"))
        wait_until(lambda: not holder(database).expired, "the lease is not renewed")
