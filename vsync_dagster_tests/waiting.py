"""Waiting for another thread or process, with a deadline: a condition that never holds fails its test."""

import time
from collections.abc import Callable

DEADLINE_SECONDS = 60.0


def wait_until(
    condition: Callable[[], object],
    otherwise: str,
    *,
    ended: Callable[[], object] = lambda: False,
    seconds: float = DEADLINE_SECONDS,
) -> None:
    """Wait until a condition holds.

    Raises:
        AssertionError: it did not within `seconds`, or what was waited for has `ended`; its text is `otherwise`.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert not ended(), otherwise
        assert time.monotonic() < deadline, f"after {seconds:.0f} s: {otherwise}"
        time.sleep(0.005)
