"""The page of one item: its evidence, its history, and what is decided about it."""

from collections.abc import Callable
from datetime import date
from uuid import UUID

from starlette.responses import RedirectResponse, Response

from vsync_dagster.console.visit import PageError, Visit
from vsync_dagster.console.waiting import State, row_of
from vsync_dagster.local_db import decisions, review
from vsync_dagster.local_db.database import Connection
from vsync_dagster.local_db.decisions import Decision, DecisionRefusedError

REFUSALS = {
    "NOT_OPEN": "The item is closed. Its history says why.",
    "DECIDED": "The item is decided already. Its history says by whom.",
    "NOT_PROPOSED": "Nobody has proposed to delete this key, or the proposal was taken back.",
    "SAME_PERSON": "A deletion takes two people: somebody else must approve it.",
    "MOVED": "The row is no longer what was put up for review. The next sync closes the item.",
    "NO_REASON": "A decision needs a reason.",
    "NO_DATE": "Say on which day, after today, it is asked again.",
    "NO_ASSIGNEE": "Say who investigates.",
}
_PROPOSED = "Proposed. Somebody else must approve the deletion."


def show_item(visit: Visit) -> Response:
    """Show an item."""
    return _page(visit)


def decide(visit: Visit) -> Response:
    """Decide about an item, or propose its deletion."""
    decision, item_id = chosen_decision(visit), _item_id(visit)
    reason, until, assignee = visit.field("reason"), chosen_day(visit), visit.field("assignee") or None

    def act(conn: Connection) -> None:
        decisions.decide(conn, item_id, decision, reason, ask_again_on=until, assignee=assignee)

    return _do(visit, act, _PROPOSED if decision is Decision.CONFIRM_DELETION else "Decided.")


def approve(visit: Visit) -> Response:
    """Approve a proposed deletion as a second person, or take it back."""
    approving, item_id = visit.field("answer") == "approve", _item_id(visit)

    def act(conn: Connection) -> None:
        (decisions.approve if approving else decisions.reject)(conn, item_id, visit.field("reason"))

    return _do(visit, act, "The key is deleted here." if approving else "The proposal is taken back.")


def show_key(visit: Visit) -> Response:
    """Show an item with its key, after the trail says so. Not kept anywhere: the next page is masked again."""
    return _page(visit, key=review.show_key(visit.connect, _item_id(visit)))


def chosen_decision(visit: Visit) -> Decision:
    """Return the decision that a form names.

    Raises:
        PageError: it names none.
    """
    try:
        return Decision(visit.field("decision"))
    except ValueError:
        raise PageError(400, "Choose a decision.") from None


def chosen_day(visit: Visit) -> date | None:
    """Return the day on which it is asked again, if one was typed in.

    Raises:
        PageError: it is no day.
    """
    try:
        return date.fromisoformat(visit.field("until")) if visit.field("until") else None
    except ValueError:
        raise PageError(400, "A day looks like 2026-11-24.") from None


def _item_id(visit: Visit) -> UUID:
    item_id: UUID = visit.request.path_params["item_id"]
    return item_id


def _do(visit: Visit, act: Callable[[Connection], None], done: str) -> Response:
    try:
        with visit.connect() as conn:
            act(conn)
    except DecisionRefusedError as error:
        return _page(visit, 409, problem=REFUSALS[error.outcome])
    visit.session.told.append(done)
    return RedirectResponse(f"/items/{_item_id(visit)}", 303)


def _page(visit: Visit, status: int = 200, problem: str | None = None, key: str | None = None) -> Response:
    with visit.connect() as conn:
        item = review.get(conn, _item_id(visit))
        trail = decisions.trail(conn, _item_id(visit))
    if item is None:
        raise PageError(404, "There is no such item.")
    row = row_of(item, visit.console.now())
    return visit.render(
        "item.html",
        status,
        row=row,
        trail=trail,
        problem=problem,
        key=key,
        may_decide=visit.session.may_decide and row.state not in (State.KEPT, State.CLOSED) and item.current,
        decisions=list(Decision),
        typed={name: visit.field(name) for name in ("decision", "reason", "until", "assignee")},
    )
