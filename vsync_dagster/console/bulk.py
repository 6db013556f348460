"""One decision about several items whose evidence suggests the same; each is decided and recorded by itself."""

from collections.abc import Callable
from uuid import UUID

from starlette.responses import Response

from vsync_dagster.console.item import REFUSALS, chosen_day, chosen_decision
from vsync_dagster.console.visit import PageError, Visit
from vsync_dagster.console.waiting import PAGE, Row, State, row_of
from vsync_dagster.local_db import decisions, review
from vsync_dagster.local_db.database import Connection
from vsync_dagster.local_db.decisions import Decision, DecisionRefusedError

_ACTIONS = {"approve": decisions.approve, "reject": decisions.reject}


def show_bulk(visit: Visit) -> Response:
    """Show the chosen items and the form that decides about them."""
    rows = _rows(visit, visit.request.query_params.getlist("item"))
    return visit.render(
        "bulk.html",
        rows=rows,
        decisions=list(Decision),
        typed=dict.fromkeys(("decision", "reason", "until", "assignee"), ""),
        proposed=rows[0].state is State.SECOND_PERSON,
    )


def decide_bulk(visit: Visit) -> Response:
    """Decide about each of the items in a transaction of its own, and tell of each how that went."""
    rows, act = _rows(visit, visit.form.get("item", [])), _action(visit)
    return visit.render("bulk_done.html", told_of=[(row, _outcome(visit, row, act)) for row in rows])


def _outcome(visit: Visit, row: Row, act: Callable[[Connection, UUID], None]) -> str | None:
    """Act on an item; return why that was refused, or None."""
    try:
        with visit.connect() as conn:
            act(conn, row.item.id)
    except DecisionRefusedError as error:
        return REFUSALS[error.outcome]
    return None


def _action(visit: Visit) -> Callable[[Connection, UUID], None]:
    """Return what a form wants to be done about each item."""
    reason, answer = visit.field("reason"), visit.field("answer")
    if answer in _ACTIONS:
        return lambda conn, item_id: _ACTIONS[answer](conn, item_id, reason)
    decision, until, assignee = chosen_decision(visit), chosen_day(visit), visit.field("assignee") or None
    return lambda conn, item_id: decisions.decide(
        conn, item_id, decision, reason, ask_again_on=until, assignee=assignee
    )


def _rows(visit: Visit, names: list[str]) -> list[Row]:
    """Return the chosen items.

    Raises:
        PageError: they are none, too many or not there, or do not belong together.
    """
    try:
        ids = list(dict.fromkeys(map(UUID, names)))
    except ValueError:
        raise PageError(400, "There is no such item.") from None
    if not 0 < len(ids) <= PAGE:
        raise PageError(400, "Choose from 1 to 50 items.")
    with visit.connect() as conn:
        found = [item for item in (review.get(conn, item_id) for item_id in ids) if item is not None]
    if len(found) != len(ids):
        raise PageError(404, "There is no such item.")
    rows = [row_of(item, visit.console.now()) for item in found]
    if len({(row.suggestion.decision, row.state is State.SECOND_PERSON) for row in rows}) > 1:
        raise PageError(409, "Choose items of the same suggestion: either all are proposed for deletion, or none is.")
    return rows
