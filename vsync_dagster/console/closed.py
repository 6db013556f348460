"""The page with the items that are done with: how they ended, and who decided that, with whom and why."""

from datetime import date, timedelta
from urllib.parse import urlencode

from starlette.responses import Response

from vsync_dagster.console.visit import Visit
from vsync_dagster.console.waiting import PAGE
from vsync_dagster.local_db import participants, review
from vsync_dagster.local_db.review import Outcome
from vsync_dagster.reconcile.calendar import begin_of, day_of, end_of

# How far back it looks unless asked for more.
_DAYS = 30


def show_closed(visit: Visit) -> Response:
    """Show the items that were closed within some days, those closed last first."""
    query = visit.request.query_params
    today = day_of(visit.console.now())
    first, last = _day(query.get("from"), today - timedelta(days=_DAYS)), _day(query.get("to"), today)
    ispb, outcome = query.get("participant", ""), query.get("outcome", "")
    page = min(max(1, int(query["page"])), 9_999) if query.get("page", "").isdecimal() else 1
    with visit.connect() as conn:
        found = review.closed_items(
            conn,
            since=begin_of(first),
            until=end_of(last),
            ispb=ispb or None,
            outcome=outcome or None,
            limit=PAGE + 1,
            offset=(page - 1) * PAGE,
        )
        known = participants.list_all(conn)
    return visit.render(
        "closed.html",
        items=found[:PAGE],
        more=len(found) > PAGE,
        page=page,
        query=urlencode({"from": first, "to": last, "participant": ispb, "outcome": outcome}),
        first=first,
        last=last,
        participant=ispb,
        outcome=outcome,
        participants=known,
        outcomes=list(Outcome),
    )


def _day(text: str | None, otherwise: date) -> date:
    try:
        named = date.fromisoformat(text or "")
    except ValueError:
        return otherwise
    return min(named, date.max - timedelta(days=1))
