"""The pages with the reports: a calendar, and one report."""

from uuid import UUID

from starlette.responses import Response

from vsync_dagster.console.days import Colour, Month, clock_of, colour_of, is_missing, share
from vsync_dagster.console.visit import PageError, Visit
from vsync_dagster.console.waiting import PAGE
from vsync_dagster.local_db import calls, chains, participants, reports, sync_state
from vsync_dagster.local_db.reports import Report
from vsync_dagster.reconcile.calendar import day_of
from vsync_dagster.reconcile.remarks import remarks

# Calls that a page lists; the export has all of them.
_CALLS = 200
# Rows that are hashed again so soon that nobody waits for it.
_SOON = 20_000


def show_calendar(visit: Visit) -> Response:
    """Show how each participant's days of a month went."""
    now, query = visit.console.now(), visit.request.query_params
    month = Month.read(query.get("month", ""), day_of(now))
    with visit.connect() as conn:
        known = participants.list_all(conn)
        pages = max(1, -(-len(known) // PAGE))
        page = min(max(1, int(query["page"])), pages) if query.get("page", "").isdecimal() else 1
        shown = known[(page - 1) * PAGE : page * PAGE]
        days = reports.last_of_days(conn, [one.ispb for one in shown], month.days[0], month.days[-1])
        answered, enabled = sync_state.answered(conn), participants.enabled_since(conn)
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
        missing={(one.ispb, day) for one in shown for day in month.days if is_missing(day, enabled.get(one.ispb), now)},
    )


def show_report(visit: Visit) -> Response:
    """Show a report: figures, plots, what proves it, and whether it is what was written."""
    report_id: UUID = visit.request.path_params["report_id"]
    asked = "check" in visit.request.query_params
    with visit.connect(bulk=asked) as conn:
        report = reports.get(conn, report_id)
        if report is None:
            raise PageError(404, "There is no such report.")
        proof = calls.verifications(conn, report.run_id)
        others = calls.others(conn, report.run_id, _CALLS + 1)
        place = chains.place_of(conn, report_id)
        checked = asked or place.sealed_rows <= _SOON
        findings = chains.verify_report(conn, report.participant_ispb, report_id) if checked else None
    return visit.render(
        "report.html",
        report=report,
        key_types=reports.by_key_type(report),
        remarks=remarks(report.key_types),
        under_review=sum(told.get("under_review") or 0 for told in report.key_types.values()),
        plots=plots(report),
        share=share,
        proof=proof,
        others=others[:_CALLS],
        more_calls=len(others) > _CALLS,
        place=place,
        findings=findings,
        colour=colour_of(report.status, verified=report.verified),
    )


def plots(report: Report) -> dict[str, dict[str, int | None]]:
    """Return what is drawn of a report: of each plot its bars; None for what is not known."""
    return {
        "Keys": {name: told.get("entries") for name, told in reports.by_key_type(report).items()},
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
