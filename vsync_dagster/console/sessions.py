"""Who is logged in: in this process's memory only, and not for long."""

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from vsync_dagster.local_db.database import Database

IDLE_SECONDS = 15 * 60
ABSOLUTE_SECONDS = 8 * 3600


def random_token() -> str:
    """Return 256 random bits."""
    return secrets.token_urlsafe(32)


@dataclass(slots=True, repr=False, eq=False)
class Session:
    """One person's. `database` holds their password; `told` are messages for the next page. Has no repr."""

    database: Database
    user: str
    may_decide: bool
    csrf: str
    began: float
    seen: float
    told: list[str] = field(default_factory=list)

    def take_told(self) -> list[str]:
        """Return the messages for the next page, once."""
        told, self.told = self.told, []
        return told


class Sessions:
    """The sessions by their id, which is in the person's cookie. `clock` counts seconds and never goes back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, token: Callable[[], str] = random_token) -> None:
        self._clock = clock
        self._token = token
        self._lock = threading.Lock()
        self._sessions: dict[str, Session] = {}

    def begin(self, database: Database, user: str, *, may_decide: bool) -> str:
        """Begin a session and return its id."""
        now, name = self._clock(), self._token()
        with self._lock:
            self._sessions = {key: session for key, session in self._sessions.items() if not _ended(session, now)}
            self._sessions[name] = Session(database, user, may_decide, self._token(), now, now)
        return name

    def find(self, name: str | None) -> Session | None:
        """Return the session of an id, which is thereby in use; None if there is none or it has ended."""
        now = self._clock()
        with self._lock:
            session = self._sessions.get(name or "")
            if session is None:
                return None
            if _ended(session, now):
                del self._sessions[name or ""]
                return None
            session.seen = now
            return session

    def end(self, name: str | None) -> None:
        """End a session; its password is gone with it."""
        with self._lock:
            self._sessions.pop(name or "", None)


def _ended(session: Session, now: float) -> bool:
    return now - session.seen > IDLE_SECONDS or now - session.began > ABSOLUTE_SECONDS
