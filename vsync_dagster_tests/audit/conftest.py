"""Evidence of a participant, as syncs and people leave it."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

from vsync_dagster.local_db import calls, decisions, fix_details, fixes, reports, review
from vsync_dagster.local_db.audit import Period
from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.decisions import Decision
from vsync_dagster.local_db.fix_details import FixDetail
from vsync_dagster.local_db.fixes import FixRecord
from vsync_dagster.local_db.review import ReviewItem
from vsync_dagster_tests.local_db.parts import CIPHER, ISPB, OTHER_ISPB, insert, make_entry
from vsync_dagster_tests.local_db.test_calls import CALL
from vsync_dagster_tests.local_db.test_reports import REPORT

TODAY = datetime.now(UTC).date()
FIRST_DAY = TODAY - timedelta(days=9)
HELD, FIXED = make_entry(31_415_926_535), make_entry(27_182_818_284)
# What somebody may type, or a server answer.
HOSTILE = "=HYPERLINK(\"http://x\")</td><script>document.title='broken'</script>"


def period(first_day: date = FIRST_DAY, last_day: date = TODAY, ispb: str = ISPB) -> Period:
    since = datetime(first_day.year, first_day.month, first_day.day, tzinfo=UTC)
    return Period(ispb, first_day, last_day, since, since + timedelta(days=(last_day - first_day).days + 1))


@pytest.fixture
def evidence(database: Database) -> Database:
    """Ten days of reports (discrepancies 0 to 9), a review with two decisions, and another participant's report."""
    proved = {"entries": 5, "before": "NOK", "source": "EVENTS", "after": "OK", "proof": "VSYNC", "under_review": 1}
    with database.connect() as conn:
        fixes.record(conn, "run-9", ISPB, [FixRecord(fixes.CREATE, "CPF", None, b"\x01" * 32, fixes.APPLIED, None)])
        fix_details.keep(conn, CIPHER, "run-9", [FixDetail(ISPB, fixes.CREATE, b"\x01" * 32, None, {"key": FIXED.key})])
        calls.record(conn, "run-9", [replace(CALL, called_at=datetime.now(UTC), result=HOSTILE)])
        for number in range(10):
            day = FIRST_DAY + timedelta(days=number)
            made = replace(
                REPORT,
                id=UUID(int=number),
                run_id=f"run-{number}",
                sync_day=day,
                sync_timestamp=datetime(day.year, day.month, day.day, 6, tzinfo=UTC),
                dry_run=False,
                discrepancies=number,
                missing_local=number,
                key_types={"CPF": proved, "EMAIL": {**proved, "after": "NOK", "proof": None}},
            )
            reports.insert(conn, made)
        reports.insert(conn, replace(made, id=UUID(int=99), run_id="run-99", participant_ispb=OTHER_ISPB))
        entry_id = insert(conn, HELD)
        review.queue(conn, "run-of-review", ISPB, [ReviewItem(entry_id, "CPF", HELD.cid(), "MISSING_BACEN", {})])
        [item] = review.open_items(conn)
        decisions.decide(conn, item.id, Decision.INVESTIGATE, HOSTILE, assignee="ana")
        decisions.decide(conn, item.id, Decision.KEEP, "on its way", ask_again_on=TODAY + timedelta(days=30))
    return database
