"""The manual review queue: keys that we hold and DICT does not. Nothing is deleted; a person decides."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from vsync_dagster.local_db import fixes
from vsync_dagster.local_db.database import Connection
from vsync_dagster.local_db.fixes import ALREADY, APPLIED, MOVED, FixRecord, FixResult
from vsync_dagster.reconcile.suggestion import Suggestion, suggest

# A row that was changed or removed since answers the question it was queued for, and must not block a new one.
_CLOSE_STALE = """
update manual_review_queue q
set status = 'CLOSED', reviewed_at = now(), action_taken = 'closed by a sync: the row has changed since'
from entries e
where e.entry_id = any(%(entry_ids)s) and e.participant_ispb = %(ispb)s and e.status = 'ACTIVE'
    and q.participant_ispb = e.participant_ispb and q.key = e.key and q.status in ('PENDING', 'KEPT')
    and (q.entry_id, q.cid) is distinct from (e.entry_id, e.cid)
"""

_QUEUE = """
with item as (
    select * from unnest(%(entry_ids)s::uuid[], %(cids)s::bytea[], %(reasons)s::text[], %(evidence)s::jsonb[])
        as item (entry_id, cid, reason, evidence)
), held as (
    select e.entry_id, e.participant_ispb, e.key, e.key_type, e.cid, item.reason, item.evidence
    from item join entries e using (entry_id, cid)
    where e.participant_ispb = %(ispb)s and e.status = 'ACTIVE'
), queued as (
    insert into manual_review_queue (entry_id, participant_ispb, key, key_type, cid, reason, evidence, run_id)
    select entry_id, participant_ispb, key, key_type, cid, reason, evidence, %(run_id)s from held
    on conflict (participant_ispb, key) where status in ('PENDING', 'KEPT') do nothing
    returning entry_id
)
select entry_id, entry_id in (select entry_id from queued) from held
"""

# A bounded number in one transaction: each step of the trail updates the head of its chain, and a transaction becomes
# slower with each update of the same row.
CLOSED_AT_ONCE = 500

_CLOSE_ANSWERED = """
with answered as (
    select q.id, q.cid = any(%(returned)s) as returned
    from manual_review_queue q
    left join entries e on e.entry_id = q.entry_id and e.cid = q.cid and e.participant_ispb = q.participant_ispb
        and e.status = 'ACTIVE'
    where q.participant_ispb = %(ispb)s and q.status in ('PENDING', 'KEPT') and (
        q.cid = any(%(returned)s) or e.entry_id is null or q.entry_digest <> entry_digest(e.entry_id))
    limit %(most)s
)
update manual_review_queue q
set status = 'CLOSED', reviewed_at = now(), action_taken = case
    when answered.returned then 'closed by a sync: DICT holds the key again'
    else 'closed by a sync: the row has changed since' end
from answered where answered.id = q.id
"""

_ITEMS = """
select q.id, q.participant_ispb, q.entry_id, q.key_type, q.masked_key, q.cid, q.reason, q.status, q.evidence,
    q.run_id, q.created_at, e.entry_id is not null, e.created_at, q.decision, q.reviewed_by, q.ask_again_on, q.assignee
from manual_review_queue q
left join entries e on e.entry_id = q.entry_id and e.cid = q.cid and e.participant_ispb = q.participant_ispb
    and e.status = 'ACTIVE'
"""

_OPEN = f"""{_ITEMS}
where q.status in ('PENDING', 'KEPT') and (%(ispb)s::text is null or q.participant_ispb = %(ispb)s)
order by q.created_at, q.id
"""

_ONE = f"{_ITEMS} where q.id = %(id)s"

# A proposal that was taken back is no decision.
_CLOSED = """
select q.id, q.participant_ispb, q.key_type, q.masked_key, q.created_at, closed.done_at, closed.reason,
    decided.decision, decided.done_by, decided.reason, approved.done_by, approved.reason
from review_trail closed
join manual_review_queue q on q.id = closed.item_id
left join lateral (
    select decision, done_by, reason from review_trail t
    where t.item_id = q.id and step in ('DECIDED', 'PROPOSED') and q.decision is not null order by t.id desc limit 1
) as decided on true
left join lateral (
    select done_by, reason from review_trail t where t.item_id = q.id and step = 'APPROVED' order by t.id desc limit 1
) as approved on true
where closed.step = 'CLOSED' and closed.done_at >= %(since)s and closed.done_at < %(until)s
    and (%(ispb)s::text is null or closed.participant_ispb = %(ispb)s)
    and (%(outcome)s::text is null or closed.reason = %(outcome)s)
order by closed.done_at desc, closed.id desc limit %(limit)s offset %(offset)s
"""

_UNDER_REVIEW = """
select e.key_type, e.entry_id, e.cid
from manual_review_queue q
join entries e on e.entry_id = q.entry_id and e.cid = q.cid and e.participant_ispb = q.participant_ispb
where q.participant_ispb = %s and q.status in ('PENDING', 'KEPT') and e.status = 'ACTIVE'
order by e.key_type, e.entry_id
"""


@dataclass(frozen=True, slots=True)
class ReviewItem:
    """A row to be put up for review. `evidence` holds CIDs, times and DICT's answers, nothing personal."""

    entry_id: UUID
    key_type: str
    cid: bytes
    reason: str
    evidence: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class OpenItem:
    """An item that waits (`PENDING`) or that a reviewer decided to keep (`KEPT`); its key is masked.

    `current` is False where the row has changed or gone since: then there is nothing left to decide. `decision` and
    `decided_by` are None where nobody has decided; a CONFIRM_DELETION waits for its second person.
    """

    id: UUID
    participant_ispb: str
    entry_id: UUID
    key_type: str
    masked_key: str
    cid: bytes
    reason: str
    status: str
    evidence: Mapping[str, Any]
    run_id: str
    created_at: datetime
    current: bool
    entry_created_at: datetime | None
    decision: str | None
    decided_by: str | None
    ask_again_on: date | None
    assignee: str | None

    def suggestion(self) -> Suggestion:
        """What the evidence says and suggests."""
        return suggest(self.evidence, self.entry_created_at, self.created_at)


class Outcome(StrEnum):
    """How an item was closed, in the words of its trail."""

    DELETED = "deleted here"
    RETURNED = "closed by a sync: DICT holds the key again"
    CHANGED = "closed by a sync: the row has changed since"


@dataclass(frozen=True, slots=True)
class ClosedItem:
    """An item that is done with; its key is masked. `outcome` is of `Outcome`, or of another version's.

    The decision is the one that stood when it was closed, if any; `approved_by` is a deletion's second person.
    """

    id: UUID
    participant_ispb: str
    key_type: str
    masked_key: str
    created_at: datetime
    closed_at: datetime
    outcome: str
    decision: str | None
    decided_by: str | None
    decided_why: str | None
    approved_by: str | None
    approved_why: str | None


@dataclass(frozen=True, slots=True)
class UnderReview:
    """A row that has an open item, is ACTIVE, and still has the CID it was queued with."""

    key_type: str
    entry_id: UUID
    cid: bytes


def queue(conn: Connection, run_id: str, ispb: str, items: Sequence[ReviewItem]) -> list[FixResult]:
    """Put rows up for review, in the caller's transaction, and say of each how that went.

    APPLIED: it is in the queue now. ALREADY: it was. MOVED: the row is no longer ACTIVE with that CID.
    """
    parameters = {
        "ispb": ispb,
        "run_id": run_id,
        "entry_ids": [item.entry_id for item in items],
        "cids": [item.cid for item in items],
        "reasons": [item.reason for item in items],
        "evidence": [Jsonb(dict(item.evidence)) for item in items],
    }
    conn.execute(_CLOSE_STALE, parameters)
    queued: dict[UUID, bool] = dict(conn.execute(_QUEUE, parameters).fetchall())
    results = [_result(item, queued.get(item.entry_id)) for item in items]
    records = [
        FixRecord(fixes.REVIEW, item.key_type, item.entry_id, item.cid, result.outcome, result.error)
        for item, result in zip(items, results, strict=True)
    ]
    fixes.record(conn, run_id, ispb, records)
    return results


def _result(item: ReviewItem, queued: bool | None) -> FixResult:
    if queued is None:
        return FixResult(item.cid, item.entry_id, MOVED, "the row is no longer what was compared")
    return FixResult(item.cid, item.entry_id, APPLIED if queued else ALREADY, None)


def close_answered(conn: Connection, ispb: str, returned: Collection[bytes]) -> int:
    """Close open items that need no decision any more, at most `CLOSED_AT_ONCE`; say why in their trail.

    Args:
        returned: CIDs that DICT holds again. Items whose row has changed or gone are closed too.

    Returns how many were closed; where it is fewer than `CLOSED_AT_ONCE`, none is left.
    """
    parameters = {"ispb": ispb, "returned": list(returned), "most": CLOSED_AT_ONCE}
    return conn.execute(_CLOSE_ANSWERED, parameters).rowcount


def open_items(conn: Connection, ispb: str | None = None) -> list[OpenItem]:
    """Return the open items of one participant or of all, oldest first."""
    return [OpenItem(*row) for row in conn.execute(_OPEN, {"ispb": ispb})]


def get(conn: Connection, item_id: UUID) -> OpenItem | None:
    """Return an item, open or `CLOSED`, or None if there is none of that id."""
    row = conn.execute(_ONE, {"id": item_id}).fetchone()
    return None if row is None else OpenItem(*row)


def closed_items(
    conn: Connection,
    *,
    since: datetime,
    until: datetime,
    ispb: str | None = None,
    outcome: str | None = None,
    limit: int,
    offset: int = 0,
) -> list[ClosedItem]:
    """Return items that were closed from `since` on and before `until`, those closed last first."""
    chosen = {"since": since, "until": until, "ispb": ispb, "outcome": outcome, "limit": limit, "offset": offset}
    return [ClosedItem(*row) for row in conn.execute(_CLOSED, chosen)]


def show_key(connect: Callable[[], AbstractContextManager[Connection]], item_id: UUID) -> str | None:
    """Return an item's key, unmasked, once the step that says so is committed; None if there is no such item.

    `connect` opens a connection, and commits on leaving: the step and the key take a transaction each.
    Personal data: for the eyes of whoever asked, and for nothing else.
    """
    with connect() as conn:
        row = conn.execute("select review_log_key_shown(%s)", [item_id]).fetchone()
    if not (row and row[0]):
        return None
    with connect() as conn:
        row = conn.execute("select review_show_key(%s)", [item_id]).fetchone()
    return row[0] if row else None


def under_review(conn: Connection, ispb: str) -> list[UnderReview]:
    """Return the participant's rows under review."""
    return [UnderReview(*row) for row in conn.execute(_UNDER_REVIEW, [ispb])]
