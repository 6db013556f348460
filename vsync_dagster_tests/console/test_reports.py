"""The calendar and a report, as an auditor sees them."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

from vsync_dagster.console.days import Clock, Colour, Month, clock_of, colour_of, share
from vsync_dagster.local_db import calls, reports, sync_state
from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.reports import Report
from vsync_dagster.reconcile.keys import KeyType
from vsync_dagster_tests.console.conftest import Clock as MovedClock
from vsync_dagster_tests.console.parts import Person, text_of
from vsync_dagster_tests.local_db.parts import ISPB
from vsync_dagster_tests.local_db.test_calls import CALL
from vsync_dagster_tests.local_db.test_reports import REPORT

DAY = REPORT.sync_day
TOLD = {"entries": 7, "before": "NOK", "source": "EVENTS", "after": "OK", "proof": "VSYNC", "under_review": 0}


def report(number: int, **changes: object) -> Report:
    """Return one of a series of reports that are no dry runs."""
    start = REPORT.sync_timestamp + timedelta(minutes=number)
    told = replace(REPORT, id=UUID(int=number), run_id=f"run-{number}", sync_timestamp=start, dry_run=False)
    return replace(told, key_types={"CPF": TOLD}, **changes)  # type: ignore[arg-type]


def keep(database: Database, *made: Report) -> None:
    with database.connect() as conn:
        for one in made:
            reports.insert(conn, one)


def test_a_day_shows_its_last_report(database: Database, eva: Person) -> None:
    keep(
        database,
        report(1, status="FAILED"),
        report(2, status="COMPLETED", verified=True),
        report(3, status="FAILED", dry_run=True),
        report(4, status="FAILED", sync_day=date(2026, 11, 2)),
        report(5, status="PARTIAL", sync_day=date(2026, 11, 3)),
        report(6, status="PARTIAL", participant_ispb="99999999"),
    )
    page = eva.get("/reports?month=2026-11").text
    assert [page.count(f'class="day {colour}" href') for colour in ("green", "amber", "red")] == [1, 1, 1]
    assert f'href="/reports/{UUID(int=2)}" aria-label="{ISPB} {DAY}: in sync, proved"' in page
    assert 'class="day' not in eva.get("/reports?month=2026-10").text.split("<table", 1)[1]


def test_the_clock_runs_from_the_last_answer(database: Database, eva: Person, clock: MovedClock) -> None:
    assert "never verified" in text_of(eva.get("/reports"))
    now = clock.now()
    with database.connect() as conn:
        for key_type in KeyType:
            sync_state.record_answered(conn, ISPB, key_type, now)
        sync_state.record_answered(conn, "99999999", "CPF", now - timedelta(days=9))
    assert "35 h left" in text_of(eva.get("/reports"))
    clock.seconds += 37 * 3_600
    eva.log_in()
    assert "over by 2 h" in text_of(eva.get("/reports"))


def test_a_report_shows_figures_and_its_proof(database: Database, eva: Person) -> None:
    asked = replace(CALL, operation="createSyncVerification", key_type="CPF", result="OK")
    keep(database, report(1, status="PARTIAL", error_message="something was left"))
    with database.connect() as conn:
        calls.record(conn, "run-1", [asked, CALL])
        calls.record(conn, "run-2", [replace(asked, correlation_id="another run's")])
    page = eva.get(f"/reports/{UUID(int=1)}")
    told = text_of(page)
    assert "something was left" in told
    assert "Not proved to be in sync." in told
    assert "CPF 7 NOK event log OK VSync 0" in told
    assert str(asked.correlation_id) in told
    assert "another run's" not in told
    assert 'aria-label="Discrepancies: missing here 6, outdated here 7, missing at DICT 8, in flight 9"' in page.text
    assert eva.get(f"/reports/{UUID(int=9)}").status_code == 404


def test_what_is_left_out_of_a_proof_is_told(database: Database, eva: Person) -> None:
    keep(database, replace(report(1, verified=True), key_types={"CPF": TOLD, "EVP": TOLD | {"under_review": 3}}))
    keep(database, report(2, verified=True))
    assert "in sync, but for 3 keys still under review." in text_of(eva.get(f"/reports/{UUID(int=1)}"))
    assert "Proved to be in sync." in text_of(eva.get(f"/reports/{UUID(int=2)}"))


def test_a_failed_report_knows_little_and_is_shown(database: Database, eva: Person) -> None:
    keep(database, replace(report(1, status="FAILED"), key_types={"CPF": dict.fromkeys(TOLD)}))
    assert "CPF - - - - - -" in text_of(eva.get(f"/reports/{UUID(int=1)}"))


def test_a_report_of_an_older_version_is_shown(database: Database, eva: Person) -> None:
    keep(database, replace(REPORT, id=UUID(int=1)))
    assert "CPF 1 NOK CID file OK - 0" in text_of(eva.get(f"/reports/{UUID(int=1)}"))


@pytest.mark.parametrize("month", ["2026-13", "x", "0000-01", "99999-01", "2026-11-01"])
def test_an_odd_month_is_this_month(eva: Person, clock: MovedClock, month: str) -> None:
    assert f"Reports {clock.now():%Y-%m}" in text_of(eva.get(f"/reports?month={month}&page=x"))


@pytest.mark.parametrize(
    ("months", "moved"), [(1, "2027-01"), (-12, "2025-12"), (12 * 9_999, "9999-12"), (-12 * 9_999, "0001-01")]
)
def test_months_move_over_years(months: int, moved: str) -> None:
    assert str(Month(2026, 12).moved(months)) == moved
    assert Month(2028, 2).days[-1] == date(2028, 2, 29)


@pytest.mark.parametrize(
    ("status", "verified", "colour"),
    [
        ("COMPLETED", True, Colour.GREEN),
        ("COMPLETED", False, Colour.AMBER),
        ("PARTIAL", True, Colour.AMBER),
        ("FAILED", True, Colour.RED),
    ],
)
def test_colours(status: str, verified: bool, colour: Colour) -> None:
    assert colour_of(status, verified=verified) is colour


def test_the_key_type_that_waits_longest_counts() -> None:
    now = datetime(2026, 11, 24, 12, tzinfo=UTC)
    answered = dict.fromkeys(map(str, KeyType), now) | {"EVP": now - timedelta(hours=30)}
    assert clock_of(answered, now) == Clock(timedelta(hours=6))
    assert clock_of(answered, now).colour is Colour.AMBER
    assert clock_of({"CPF": now}, now).hours is None, "four were never verified"
    assert Clock(timedelta(hours=12)).colour is Colour.GREEN
    assert Clock(timedelta(seconds=-1)).colour is Clock(None).colour is Colour.RED


def test_bars_are_shares_of_the_longest() -> None:
    values = {"a": 200, "b": 50, "c": 1, "d": 0}
    assert [share(value, values) for value in values.values()] == [100.0, 25.0, 0.5, 0.0]
