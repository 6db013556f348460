"""The pages with the reports: a calendar, and one report."""

from uuid import UUID

from starlette.responses import Response

from vsync_dagster.console.days import Colour, Month, clock_of, colour_of, share
from vsync_dagster.console.visit import PageError, Visit
from vsync_dagster.console.waiting import PAGE
from vsync_dagster.local_db import calls, participants, reports, sync_state
from vsync_dagster.local_db.reports import Report


def show_calendar(visit: Visit) -> Response:
    """Show how each participant's days of a month went."""
    now, query = visit.console.now(), visit.request.query_params
    month = Month.read(query.get("month", ""), now.date())
    with visit.connect() as conn:
        known = participants.list_all(conn)
        pages = max(1, -(-len(known) // PAGE))
        page = min(max(1, int(query["page"])), pages) if query.get("page", "").isdecimal() else 1
        shown = known[(page - 1) * PAGE : page * PAGE]
        days = reports.last_of_days(conn, [one.ispb for one in shown], month.days[0], month.days[-1])
        answered = sync_state.answered(conn)
    return visit.render(
        "calendar.html",
        month=month,
        participants=shown,
        page=page,
        pages=pages,
        days={(day.participant_ispb, day.sync_day): day for day in days},
        colour_of=colour_of,
        clocks={one.ispb: clock_of(answered.get(one.ispb, {}), now) for one in shown},
        colours=list(Colour),
    )


def show_report(visit: Visit) -> Response:
    """Show a report: figures, plots, and what proves it."""
    report_id: UUID = visit.request.path_params["report_id"]
    with visit.connect() as conn:
        report = reports.get(conn, report_id)
        proof = calls.verifications(conn, report.run_id) if report else []
    if report is None:
        raise PageError(404, "There is no such report.")
    return visit.render(
        "report.html",
        report=report,
        key_types=reports.by_key_type(report),
        under_review=sum(told.get("under_review") or 0 for told in report.key_types.values()),
        plots=plots(report),
        share=share,
        proof=proof,
        colour=colour_of(report.status, verified=report.verified),
    )


def plots(report: Report) -> dict[str, dict[str, int]]:
    """Return what is drawn of a report: of each plot its bars."""
    return {
        "Keys": {name: told.get("entries") or 0 for name, told in reports.by_key_type(report).items()},
        "Discrepancies": {
            "missing here": report.missing_local,
            "outdated here": report.outdated_local,
            "missing at DICT": report.missing_bacen,
            "in flight": report.in_flight,
        },
        "What was done": {
            "created": report.entries_created,
            "updated": report.entries_updated,
            "put up for review": report.entries_deleted,
            "failed": report.fixes_failed,
        },
    }
