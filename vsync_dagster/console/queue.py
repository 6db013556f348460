"""The page with the review queue."""

from starlette.responses import Response

from vsync_dagster.console.visit import Visit
from vsync_dagster.console.waiting import PAGE, Counts, Order, State, Wanted, arrange, row_of
from vsync_dagster.local_db import participants, review
from vsync_dagster.local_db.decisions import Decision


def show_queue(visit: Visit) -> Response:
    """Show the open items that are wanted, with counts by age and suggestion."""
    query = visit.request.query_params
    wanted, now = Wanted.of(query), visit.console.now()
    with visit.connect() as conn:
        rows = [row_of(item, now) for item in review.open_items(conn)]
        known = participants.list_all(conn)
    found = arrange(rows, wanted)
    pages = max(1, -(-len(found) // PAGE))
    page = min(max(1, int(query["page"])), pages) if query.get("page", "").isdecimal() else 1
    return visit.render(
        "queue.html",
        wanted=wanted,
        rows=found[(page - 1) * PAGE : page * PAGE],
        counts=Counts.of(found),
        total=len(found),
        page=page,
        pages=pages,
        participants=known,
        key_types=sorted({row.item.key_type for row in rows}),
        suggestions=list(Decision),
        states=[state for state in State if state is not State.CLOSED],
        orders=list(Order),
    )
