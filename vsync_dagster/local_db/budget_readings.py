"""Which process asks DICT for its limits. One at a time, and none holds a transaction or a lock while it asks."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

from vsync_dagster.local_db.database import Connection, Database, Session

# As long as other processes leave a question to one of them. It may have died: then another asks.
CLAIM_SECONDS = 60
_POLL_SECONDS = 0.5


class Subject(StrEnum):
    """What is asked: an ISPB's limits, or whether its indirect participants are charged to it."""

    LIMITS = "LIMITS"
    SHARING = "SHARING"


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to ask and to write down the answer, until then by the database's clock."""

    scope_ispb: str
    subject: Subject
    until: datetime


_CREATE = """
insert into dict_budget_readings (scope_ispb, subject) values (%s, %s) on conflict do nothing
"""

# Limits change, and others spend from the buckets too.
_STATE = """
select read_at is not null, coalesce(read_at < clock_timestamp() - interval '24 hours', true),
    claimed_until > clock_timestamp()
from dict_budget_readings where scope_ispb = %s and subject = %s for update
"""

_CLAIM = """
update dict_budget_readings set claimed_until = clock_timestamp() + make_interval(secs => %s)
where scope_ispb = %s and subject = %s returning claimed_until
"""

_ANSWERED = """
update dict_budget_readings set read_at = clock_timestamp(), shared = %s, claimed_until = '-infinity'
where scope_ispb = %s and subject = %s and claimed_until = %s and claimed_until > clock_timestamp()
"""

_RELEASE = """
update dict_budget_readings set claimed_until = '-infinity'
where scope_ispb = %s and subject = %s and claimed_until = %s
"""

_SHARED = "select from dict_budget_readings where scope_ispb = %s and subject = 'SHARING' and shared"


def claim(
    transactions: Database | Session, scope_ispb: str, subject: Subject, sleep: Callable[[float], None] = time.sleep
) -> Claim | None:
    """Claim a question if it was not answered for a day; None where there is nothing to ask.

    While another process asks, the last answer holds. Only where there is none yet, this waits for that process, at
    most until its claim expires.
    """
    while True:
        found = transactions.retrying(lambda conn: _try_claim(conn, scope_ispb, subject), sleep=sleep)
        if found != "wait":
            return found
        sleep(_POLL_SECONDS)


def answered(conn: Connection, held: Claim, *, shared: bool | None = None) -> bool:
    """Note that DICT answered, and end the claim; False where it has expired: then the answer must not be used."""
    key = [held.scope_ispb, held.subject.value, held.until]
    return conn.execute(_ANSWERED, [shared, *key]).rowcount == 1


def release(conn: Connection, held: Claim) -> None:
    """End a claim without an answer; nothing where it has ended."""
    conn.execute(_RELEASE, [held.scope_ispb, held.subject.value, held.until])


def indirects_share(conn: Connection, direct_ispb: str) -> bool:
    """Return whether DICT was last seen to charge this participant for its indirect ones; no, until it was seen."""
    return bool(conn.execute(_SHARED, [direct_ispb]).fetchall())


def _try_claim(conn: Connection, scope_ispb: str, subject: Subject) -> Claim | Literal["wait"] | None:
    key = [scope_ispb, subject.value]
    conn.execute(_CREATE, key)
    [(known, stale, claimed)] = conn.execute(_STATE, key).fetchall()
    if not stale or (claimed and known):
        return None
    if claimed:
        return "wait"
    [(until,)] = conn.execute(_CLAIM, [CLAIM_SECONDS, *key]).fetchall()
    return Claim(scope_ispb, subject, until)
