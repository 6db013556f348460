"""The calendar and a report, as an auditor sees them."""

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from vsync_dagster.console import reporting
from vsync_dagster.console.days import Clock, Colour, Month, clock_of, colour_of, is_missing, share
from vsync_dagster.local_db import calls, participants, reports, sync_state
from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.reports import Report
from vsync_dagster.reconcile.keys import KeyType
from vsync_dagster_tests.console.conftest import Clock as MovedClock
from vsync_dagster_tests.console.parts import Person, text_of
from vsync_dagster_tests.local_db.parts import ISPB
from vsync_dagster_tests.local_db.test_calls import CALL
from vsync_dagster_tests.local_db.test_chains import tamper
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


def test_a_day_that_should_have_a_report_and_has_none_has_a_sign_of_its_own(
    database: Database, eva: Person, clock: MovedClock
) -> None:
    sao_paulo = clock.now().astimezone(ZoneInfo("America/Sao_Paulo")).date()
    month = f"{sao_paulo - timedelta(days=1):%Y-%m}"
    keep(
        database,
        report(1, status="COMPLETED", verified=True, sync_day=sao_paulo - timedelta(days=1)),
        report(2, status="COMPLETED", verified=True, sync_day=sao_paulo - timedelta(days=2), dry_run=True),
    )

    def missing(ispb: str, of: str = month) -> list[date]:
        told = rf'aria-label="{ispb} ([0-9-]+): report is missing">\?<'
        return [date.fromisoformat(day) for day in re.findall(told, eva.get(f"/reports?month={of}").text)]

    with database.connect() as conn:
        participants.add(conn, "87654321")
        participants.set_enabled(conn, "87654321", enabled=False)
        conn.execute("update participants set enabled_since = now() - interval '400 days'")
    expected = [day for day in Month.read(month, sao_paulo).days if day < sao_paulo - timedelta(days=1)]
    assert missing(ISPB) == expected, "neither a day with a report, nor today, nor one to come; a dry run is none"
    assert missing("87654321") == [], "it is not to be synced"
    assert missing(ISPB, "2020-01") == [], "nobody asked for it then"
    assert "report is missing" in text_of(eva.get("/reports")), "the legend tells"

    with database.connect() as conn:
        participants.set_enabled(conn, "87654321", enabled=True)
    assert missing("87654321") == [], "from the day after it was enabled again"


@pytest.mark.parametrize(
    ("day", "since", "missing"),
    [
        (date(2026, 11, 23), datetime(2026, 11, 22, 12, tzinfo=UTC), True),
        (date(2026, 11, 23), datetime(2026, 11, 23, 2, tzinfo=UTC), True),  # the 22nd in São Paulo
        (date(2026, 11, 23), datetime(2026, 11, 23, 3, tzinfo=UTC), False),
        (date(2026, 11, 24), datetime(2026, 11, 1, tzinfo=UTC), False),  # today in São Paulo, tomorrow in UTC
        (date(2026, 11, 25), datetime(2026, 11, 1, tzinfo=UTC), False),
        (date(2026, 11, 23), None, False),
    ],
)
def test_days_without_a_report(day: date, since: datetime | None, missing: bool) -> None:
    assert is_missing(day, since, datetime(2026, 11, 25, 2, 59, tzinfo=UTC)) is missing


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


def test_a_report_tells_its_place_in_the_chain_and_that_it_is_what_was_written(database: Database, eva: Person) -> None:
    for number in (1, 2):
        with database.connect() as conn:
            others = replace(CALL, operation="listPolicies", correlation_id="cd" * 16)
            calls.record(conn, f"run-{number}", [CALL, others])
        keep(database, report(number))
    with database.connect() as conn:
        [(hash_,)] = conn.execute(
            "select encode(chain_hash, 'hex') from sync_reports where run_id = 'run-2'"
        ).fetchall()
    page = text_of(eva.get(f"/reports/{UUID(int=2)}"))
    assert f"Number in the chain 2 Hash {hash_} Rows that it seals 2" in page
    assert "Yes: the report and what its run has left behind" in page
    assert "cd" * 16 in page, "each call's CorrelationId"


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("update sync_reports set verified = not verified where run_id = 'run-2'", "changed, or the one before it was"),
        ("update sync_reports set chain_hash = sha256('') where run_id = 'run-1'", "changed, or the one before it was"),
        ("delete from sync_reports where run_id = 'run-1'", "row 1 is missing"),
        ("delete from dict_calls", "dict_calls of its run: 1 rows when it was written, 0 now"),
        ("update evidence_chains set head_hash = sha256('')", "changed: it is not the head it was"),
        ("delete from evidence_chains", "inserted"),
    ],
)
def test_a_report_that_is_not_what_was_written_says_so(
    database: Database, eva: Person, statement: str, told: str
) -> None:
    keep(database, report(1))
    with database.connect() as conn:
        calls.record(conn, "run-2", [CALL])
    keep(database, report(2))
    tamper(database, statement)
    page = text_of(eva.get(f"/reports/{UUID(int=2)}"))
    assert "No: something was changed, taken away or slipped in." in page
    assert told in page
    assert "Yes: the report" not in page


def test_after_retention_the_first_report_is_still_what_was_written(database: Database, eva: Person) -> None:
    keep(database, report(1), report(2))
    with database.connect() as conn:
        conn.execute(
            "select start_chains_after('sync_reports', array_agg(participant_ispb::text),"
            " array_agg(chain_number), array_agg(chain_hash)) from sync_reports where run_id = 'run-1'"
        )
    tamper(database, "delete from sync_reports where run_id = 'run-1'")
    assert "Yes: the report" in text_of(eva.get(f"/reports/{UUID(int=2)}"))


def test_what_takes_long_to_check_is_checked_when_asked_for(
    database: Database, eva: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "_SOON", 1)
    with database.connect() as conn:
        calls.record(conn, "run-1", [CALL, CALL])
    keep(database, report(1))
    page = eva.get(f"/reports/{UUID(int=1)}")
    assert "It seals 2 rows: reading them again takes a while. Check it now" in text_of(page)
    assert "Yes: the report" not in text_of(page)
    [link] = re.findall(r'href="(/reports/[^"#]+\?check=1)#chain"', page.text)
    assert "Yes: the report" in text_of(eva.get(link))


def test_a_page_lists_so_many_calls_and_says_that_there_are_more(database: Database, eva: Person) -> None:
    with database.connect() as conn:
        looked_up = replace(CALL, operation="getEntryByCid")
        calls.record(conn, "run-1", [replace(looked_up, correlation_id=f"{number:032x}") for number in range(201)])
    keep(database, report(1))
    page = text_of(eva.get(f"/reports/{UUID(int=1)}"))
    assert f"{199:032x}" in page
    assert f"{200:032x}" not in page
    assert "There are more: the command vsync report export has all of them." in page


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
    """The month of São Paulo, where it still is November when December begins in UTC."""
    clock.seconds = (datetime(2026, 12, 1, 2, tzinfo=UTC) - datetime.now(UTC)).total_seconds()
    assert "Reports 2026-11" in text_of(eva.get(f"/reports?month={month}&page=x"))


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


def test_a_report_shows_what_it_remarks_on(database: Database, eva: Person) -> None:
    told = TOLD | {"request_id_alone": 3, "broken_rules": {"Person.Name": 2}}
    remarkable = replace(report(1, status="COMPLETED", verified=True), key_types={"CPF": told, "EVP": told})
    keep(database, remarkable, report(2, status="COMPLETED", verified=True))

    page = text_of(eva.get(f"/reports/{UUID(int=1)}"))
    assert "6 keys differ from DICT in the request id alone" in page
    assert (
        "4 entries were applied as DICT has signed them, though they break the rule Person.Name of API 2.12.1" in page
    )
    older = text_of(eva.get(f"/reports/{UUID(int=2)}"))
    assert "request id alone" not in older, "reports of before there was the count"


@pytest.mark.parametrize("ispb", ["ABCD1234", "abcd1234"])
def test_a_participant_with_letters_is_in_the_calendar(database: Database, eva: Person, ispb: str) -> None:
    with database.connect() as conn:
        participants.add(conn, ispb)
    keep(database, report(1, status="COMPLETED", verified=True, participant_ispb=ispb))
    page = eva.get("/reports?month=2026-11").text
    assert f'href="/reports/{UUID(int=1)}" aria-label="{ispb} {DAY}: in sync, proved"' in page
