"""How often somebody may try to log in."""

import threading
import time
from collections.abc import Callable

WINDOW_SECONDS = 15 * 60
ATTEMPTS_A_NAME = 5
ATTEMPTS_AN_ADDRESS = 20


class Throttle:
    """Counts the attempts of a name and of an address within a quarter of an hour; one that succeeds does not count.

    An attempt counts from its beginning, so that many at once are no way around.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._attempts: list[tuple[float, str, str]] = []

    def admit(self, name: str, address: str) -> bool:
        """Tell whether an attempt may be made, and count it."""
        now = self._clock()
        with self._lock:
            self._attempts = [attempt for attempt in self._attempts if now - attempt[0] < WINDOW_SECONDS]
            of_name = sum(attempt[1] == name for attempt in self._attempts)
            of_address = sum(attempt[2] == address for attempt in self._attempts)
            if of_name >= ATTEMPTS_A_NAME or of_address >= ATTEMPTS_AN_ADDRESS:
                return False
            self._attempts.append((now, name, address))
            return True

    def succeeded(self, name: str) -> None:
        """Forget the attempts of a name whose password was right."""
        with self._lock:
            self._attempts = [attempt for attempt in self._attempts if attempt[1] != name]
