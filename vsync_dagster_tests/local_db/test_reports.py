from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import psycopg
import pytest

from vsync_dagster.local_db import reports
from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.local_db.errors import DatabaseError
from vsync_dagster.local_db.reports import Report
from vsync_dagster_tests.local_db.parts import ISPB, OTHER_ISPB, RUN, value

REPORT = Report(
    id=UUID(int=1),
    run_id=RUN,
    participant_ispb=ISPB,
    sync_type="INCREMENTAL",
    sync_day=date(2026, 11, 24),
    sync_timestamp=datetime(2026, 11, 24, 5, 0, 0, 123_456, tzinfo=UTC),
    duration_ms=5_000_000_000,
    status="PARTIAL",
    error_message=None,
    dry_run=True,
    entries_synced=1,
    entries_created=2,
    entries_updated=3,
    entries_deleted=4,
    discrepancies=5,
    missing_local=6,
    outdated_local=7,
    missing_bacen=8,
    in_flight=9,
    fixes_failed=10,
    verified=False,
    pending=11,
    resume_at=datetime(2026, 11, 24, 6, tzinfo=UTC),
    plan={"tokens": {"CIDS_ENTRIES_READ": 11}, "granted": {"CIDS_ENTRIES_READ": 0}, "seconds": 0.0},
    key_types={"CPF": {"entries": 1, "before": "NOK", "source": "CID_FILE", "after": "OK", "under_review": 0}},
)


def test_a_report_comes_back_as_it_was(conn: Connection) -> None:
    assert reports.insert(conn, REPORT)
    assert reports.get(conn, REPORT.id) == REPORT
    assert reports.get(conn, UUID(int=2)) is None


def test_one_report_a_run(conn: Connection) -> None:
    assert reports.insert(conn, REPORT)
    assert not reports.insert(conn, replace(REPORT, id=UUID(int=2), status="FAILED"))
    assert reports.list_reports(conn) == [REPORT]


def test_the_latest_first(conn: Connection) -> None:
    made = [
        replace(REPORT, id=UUID(int=n), run_id=f"run-{n}", sync_timestamp=REPORT.sync_timestamp + timedelta(hours=n))
        for n in (2, 1, 3)
    ]
    made[1] = replace(made[1], participant_ispb=OTHER_ISPB)
    for report in made:
        reports.insert(conn, report)
    assert reports.list_reports(conn) == [made[2], made[0], made[1]]
    assert reports.list_reports(conn, ISPB) == [made[2], made[0]]
    assert reports.list_reports(conn, limit=1) == [made[2]]


@pytest.mark.parametrize(
    "change",
    [
        "update sync_reports set status = 'COMPLETED'",
        "update sync_reports set status = 'COMPLETED' where false",
        "delete from sync_reports",
        "truncate sync_reports",
        "set session_replication_role = replica; delete from sync_reports",
        """insert into sync_reports select * from sync_reports
           on conflict (run_id) do update set status = 'COMPLETED'""",
    ],
)
def test_nothing_changes_a_report(database: Database, change: str) -> None:
    """Not even the table's owner, whom the tests connect as."""
    with database.connect() as conn:
        reports.insert(conn, REPORT)
    with pytest.raises(DatabaseError, match="constraint append_only, table sync_reports"), database.connect() as conn:
        conn.execute(change.encode())
    with database.connect() as conn:
        assert reports.list_reports(conn) == [REPORT]


@pytest.mark.parametrize("change", [{"status": "FINE"}, {"sync_type": "SOME"}])
def test_words_are_checked(conn: Connection, change: dict[str, str]) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        reports.insert(conn, Report(**{**{name: getattr(REPORT, name) for name in REPORT.__slots__}, **change}))


def test_the_owners_index_is_there(conn: Connection) -> None:
    definition = value(conn, "select indexdef from pg_indexes where indexname = 'idx_sync_reports_timestamp'")
    assert definition.endswith("(sync_timestamp DESC)")
