"""Decisions about review items. Who decides is the login of the connection; nobody types it in."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from psycopg.rows import class_row

from vsync_dagster.local_db.database import Connection
from vsync_dagster.reconcile.errors import RefusedError

_TRAIL = """
select item_id, step, decision, reason, ask_again_on, assignee, done_by, done_at
from review_trail where item_id = %s order by id
"""

_TO_RE_REGISTER = """
select q.id, q.participant_ispb, q.entry_id, q.key_type, q.cid, q.reviewed_by, q.reviewed_at, q.ask_again_on
from manual_review_queue q
where q.status = 'KEPT' and q.decision = 'RE_REGISTER' and (%(ispb)s::text is null or q.participant_ispb = %(ispb)s)
order by q.reviewed_at, q.id
"""

_REFUSALS = {
    "NOT_OPEN": "the item is not open: `vsync review list` lists those that are",
    "DECIDED": "the item is decided already: `vsync review show` tells by whom",
    "NOT_PROPOSED": "nobody has proposed to delete this key: decide confirm_deletion first",
    "SAME_PERSON": "a deletion takes two people: somebody else must approve it",
    "MOVED": "the row is no longer what was put up for review: the next sync closes the item",
    "NO_REASON": "a decision needs a reason",
    "NO_DATE": "say on which day, after today, it is asked again",
    "NO_ASSIGNEE": "say who investigates",
}


class Decision(StrEnum):
    """What can be decided about a key that only we hold.

    RE_REGISTER is for a key that is correct here and that DICT lost by an operational failure (Manual Operacional do
    DICT, section 3.3): somebody else's systems register it again.
    """

    CONFIRM_DELETION = "CONFIRM_DELETION"
    KEEP = "KEEP"
    RE_REGISTER = "RE_REGISTER"
    INVESTIGATE = "INVESTIGATE"


class DecisionRefusedError(RefusedError):
    """Nothing was written: the item, the row or the person is not what the decision needs.

    `outcome` is the name of what was wrong, such as SAME_PERSON.
    """

    def __init__(self, outcome: str) -> None:
        super().__init__(_REFUSALS[outcome])
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class Step:
    """A row of an item's trail. `done_by` is a login of PostgreSQL's."""

    item_id: UUID
    step: str
    decision: str | None
    reason: str | None
    ask_again_on: date | None
    assignee: str | None
    done_by: str
    done_at: datetime


@dataclass(frozen=True, slots=True)
class ToReRegister:
    """An entry for the team that registers keys at DICT; they find the key by `entry_id`."""

    item_id: UUID
    participant_ispb: str
    entry_id: UUID
    key_type: str
    cid: bytes
    decided_by: str
    decided_at: datetime
    ask_again_on: date


def decide(
    conn: Connection,
    item_id: UUID,
    decision: Decision,
    reason: str,
    *,
    ask_again_on: date | None = None,
    assignee: str | None = None,
) -> None:
    """Decide about an item, or propose its deletion; the caller's transaction.

    Args:
        ask_again_on: a day after today; KEEP and RE_REGISTER need it.
        assignee: who looks into it; INVESTIGATE needs it.

    Raises:
        DecisionRefusedError: nothing was written.
    """
    _call(conn, "select review_decide(%s, %s, %s, %s, %s)", [item_id, decision.value, reason, ask_again_on, assignee])


def approve(conn: Connection, item_id: UUID, reason: str) -> None:
    """Approve a proposed deletion as a second person: the row, its CID event and its outbox event go together.

    Raises:
        DecisionRefusedError: nothing was written.
    """
    _call(conn, "select review_approve(%s, %s)", [item_id, reason])


def reject(conn: Connection, item_id: UUID, reason: str) -> None:
    """Take a proposed deletion back; the item waits for a decision again.

    Raises:
        DecisionRefusedError: nothing was written.
    """
    _call(conn, "select review_reject(%s, %s)", [item_id, reason])


def trail(conn: Connection, item_id: UUID) -> list[Step]:
    """Return all that was ever done about an item, oldest first."""
    with conn.cursor(row_factory=class_row(Step)) as cursor:
        return cursor.execute(_TRAIL, [item_id]).fetchall()


def to_re_register(conn: Connection, ispb: str | None = None) -> list[ToReRegister]:
    """Return what waits to be registered at DICT again, oldest decision first."""
    return [ToReRegister(*row) for row in conn.execute(_TO_RE_REGISTER, {"ispb": ispb})]


def _call(conn: Connection, query: str, parameters: list[Any]) -> None:
    row = conn.execute(query.encode(), parameters).fetchone()
    outcome = str(row and row[0])
    if outcome != "DONE":
        raise DecisionRefusedError(outcome)
