"""What retention deletes, what it can never delete, and that the chains stay whole."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from vsync_dagster.local_db import (
    alerts,
    calls,
    chains,
    decisions,
    fix_details,
    fixes,
    lookups,
    outbox,
    reports,
    retention,
    review,
    roles,
)
from vsync_dagster.local_db.alerts import Alert, Severity
from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.local_db.decisions import Decision
from vsync_dagster.local_db.errors import DatabaseError
from vsync_dagster.local_db.fix_details import FixDetail
from vsync_dagster.local_db.fixes import FixRecord
from vsync_dagster.local_db.retention import KeptFor
from vsync_dagster.local_db.review import ReviewItem
from vsync_dagster_tests.local_db.parts import CIPHER, ISPB, OTHER_ISPB, insert, make_entry, rows, value
from vsync_dagster_tests.local_db.test_calls import CALL
from vsync_dagster_tests.local_db.test_chains import tamper
from vsync_dagster_tests.local_db.test_reports import REPORT
from vsync_dagster_tests.logins import login_with

DAYS = timedelta(days=90)
KEPT_FOR = KeptFor(events=DAYS, alerts=DAYS)


def report(conn: Connection, number: int, ispb: str = ISPB) -> None:
    """Write a report, and what its run leaves behind."""
    run = f"run-{number}"
    fixes.record(conn, run, ispb, [FixRecord(fixes.CREATE, "CPF", None, b"\x01" * 32, fixes.APPLIED, None)])
    fix_details.keep(conn, CIPHER, run, [FixDetail(ispb, fixes.CREATE, b"\x01" * 32, None, {"key": "1"})])
    calls.record(conn, run, [CALL])
    reports.insert(conn, replace(REPORT, id=UUID(int=number), run_id=run, participant_ispb=ispb))


def item(conn: Connection, number: int) -> UUID:
    """Put a key up for review."""
    entry_id = insert(conn, make_entry(number))
    review.queue(conn, "run-0", ISPB, [ReviewItem(entry_id, "CPF", make_entry(number).cid(), "MISSING_BACEN", {})])
    return value(conn, "select id from manual_review_queue where entry_id = %s", [entry_id])  # type: ignore[no-any-return]


def seven_years_pass_after(conn: Connection, moment: datetime) -> None:
    """What was written before the moment is old enough from now on."""
    conn.execute(
        f"create or replace function kept_long_enough(written timestamptz) returns boolean language sql stable"
        f" as $$ select written < '{moment.isoformat()}' $$".encode()
    )


def delete(database: Database, batch: int = 2) -> dict[str, int]:
    with login_with(database, roles.RETENTION) as login:
        return {deleted.table: deleted.rows for deleted in retention.delete(login, KEPT_FOR, batch) if deleted.rows}


def findings(database: Database) -> list[chains.Finding]:
    with database.connect() as conn:
        return list(chains.verify(conn))


@pytest.fixture
def aged(database: Database) -> Database:
    """Three old reports of one participant and one of another, and then a new one of each."""
    with database.connect() as conn:
        for number in (1, 2, 3):
            report(conn, number)
        report(conn, 4, OTHER_ISPB)
        conn.commit()
        # A report is as old as the younger of its two times.
        cut = value(conn, "select clock_timestamp()")
    with database.connect() as conn:
        report(conn, 5)
        report(conn, 6, OTHER_ISPB)
        calls.record(conn, None, [CALL])
        seven_years_pass_after(conn, cut)
    return database


def test_reports_and_trail_are_kept_for_seven_years(conn: Connection) -> None:
    ages = "select kept_long_enough(now() - %s::interval), kept_long_enough(now() - %s::interval)"
    assert rows(conn, ages, ["7 years 1 day", "6 years 11 months 29 days"]) == [(True, False)]


def test_old_reports_go_with_what_their_runs_left_and_the_chain_begins_after_them(aged: Database) -> None:
    with login_with(aged, roles.RETENTION) as login, login.connect() as conn:
        assert dict(retention.due(conn, KEPT_FOR)) == {
            "sync_reports": 4, "review_trail": 0, "manual_review_queue": 0, "dict_calls": 1, "looked_up_entries": 0,
            "outbox": 0, "alerts": 0,
        }  # fmt: skip
    assert delete(aged) == {"sync_reports": 4, "dict_calls": 1}
    assert delete(aged) == {}
    assert findings(aged) == []
    with aged.connect() as conn:
        assert rows(conn, "select run_id from sync_reports order by 1") == [("run-5",), ("run-6",)]
        for table in ("fixes", "fix_details", "dict_calls"):
            assert rows(conn, f"select distinct run_id from {table} order by 1") == [("run-5",), ("run-6",)]  # noqa: S608
        starts = [(each.participant_ispb, each.start_number) for each in chains.chains(conn)]
        assert starts == [(ISPB, 3), (OTHER_ISPB, 1)]
        assert all((each.start_signed_by or "").startswith("test_") for each in chains.chains(conn))
        log = "select what, sum(rows_deleted), bool_and(done_by like 'test_%%') from retention_log group by what"
        assert set(rows(conn, log)) == {("sync_reports", 4, True), ("dict_calls", 1, True)}


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("update sync_reports set verified = not verified where run_id = 'run-5'", "changed"),
        ("delete from sync_reports where run_id = 'run-5'", "row 4 is missing"),
        ("update evidence_chains set start_number = 2 where participant_ispb = '00416968'", "row 3 is missing"),
        ("update evidence_chains set start_hash = sha256('') where participant_ispb = '00416968'", "changed"),
    ],
)
def test_what_is_done_after_retention_is_found(aged: Database, statement: str, problem: str) -> None:
    delete(aged)
    assert any(each.problem.startswith(problem) for each in tamper(aged, statement))


def test_an_old_report_that_somebody_else_deletes_is_missed(aged: Database) -> None:
    """Even the owner, whom no trigger stops once a report is old."""
    with aged.connect() as conn:
        conn.execute("delete from sync_reports where run_id = 'run-2'")
    assert any(each.problem == "row 2 is missing" for each in findings(aged))


@pytest.mark.parametrize("table", ["sync_reports", "review_trail", "mass_changes"])
def test_nobody_deletes_what_is_not_old_enough(database: Database, table: str) -> None:
    with database.connect() as conn:
        report(conn, 1)
        item(conn, 1)
        conn.execute(
            """insert into mass_changes (run_id, participant_ispb, sync_day, changes, participants_keys, reason)
            values ('run-1', '00416968', '2026-11-24', 1, 1, 'x')"""
        )
    with pytest.raises(DatabaseError, match="append_only"), database.connect() as conn:
        conn.execute(f"delete from {table}".encode())  # noqa: S608


def test_an_open_item_is_never_deleted_and_a_closed_one_goes_with_its_steps(database: Database) -> None:
    with database.connect() as conn:
        _, investigated, kept = item(conn, 1), item(conn, 2), item(conn, 3)
        decisions.decide(conn, investigated, Decision.INVESTIGATE, "unclear", assignee="ana")
        day = value(conn, "select current_date + 30")
        decisions.decide(conn, kept, Decision.KEEP, "on its way", ask_again_on=day)
        conn.execute("update entries set status = 'DELETED' where key = %s", [make_entry(1).key])
        conn.commit()
        assert review.close_answered(conn, ISPB, []) == 1
        conn.commit()
        seven_years_pass_after(conn, value(conn, "select clock_timestamp() + interval '1 day'"))
    # Steps go from the beginning of the chain on: the last step of the closed one is behind those of the open ones.
    assert delete(database) == {"review_trail": 1}
    assert findings(database) == []
    with database.connect() as conn:
        for open_item in (investigated, kept):
            conn.execute(
                "update manual_review_queue set status = 'CLOSED', action_taken = 'x' where id = %s", [open_item]
            )
        conn.commit()
        seven_years_pass_after(conn, value(conn, "select clock_timestamp() + interval '1 day'"))
        conn.execute("update manual_review_queue set reviewed_at = now()")
    assert delete(database) == {"review_trail": 7, "manual_review_queue": 3}
    assert findings(database) == []


def test_an_event_that_is_not_published_is_never_deleted(database: Database) -> None:
    with database.connect() as conn:
        for _ in range(3):
            outbox.add(conn, ISPB, "x", {})
        old, new, waiting = (event.id for event in outbox.pending(conn, 10))
        conn.execute("update outbox set created_at = now() - interval '10 years'")
        conn.execute("update outbox set published_at = now() - interval '91 days' where id = %s", [old])
        conn.execute("update outbox set published_at = now() - interval '89 days' where id = %s", [new])
    assert delete(database) == {"outbox": 1}
    with database.connect() as conn:
        assert rows(conn, "select id from outbox order by id") == [(new,), (waiting,)]


def test_an_alert_goes_some_time_after_it_was_resolved_unless_a_target_has_yet_to_be_told(database: Database) -> None:
    """One that has stood for years stays, and a target that was given up holds nothing back."""
    names = ["stands", "young", "old", "told", "waits", "waits for nobody"]
    with database.connect() as conn:
        for name in names:
            alerts.raise_alert(conn, Alert(name, name, Severity.WARNING, name, "x"))
        conn.execute("update alerts set raised_at = now() - interval '10 years'")
        conn.execute("update alerts set resolved_at = now() - interval '91 days' where name <> 'stands'")
        conn.execute("update alerts set resolved_at = now() - interval '89 days' where name = 'young'")
        conn.execute("insert into alert_targets (name, held_until) values ('up', now()), ('gone', now() - %s)", [DAYS])
        conn.execute(
            """insert into alert_deliveries (alert_id, target, recovery_told_at)
            select id, case name when 'waits for nobody' then 'gone' else 'up' end,
                case when name = 'told' then now() end
            from alerts where name in ('told', 'waits', 'waits for nobody')"""
        )
    with login_with(database, roles.RETENTION) as login, login.connect() as conn:
        assert retention.due(conn, KEPT_FOR)["alerts"] == 3
    assert delete(database) == {"alerts": 3}
    with database.connect() as conn:
        assert [name for (name,) in rows(conn, "select name from alerts order by id")] == ["stands", "young", "waits"]
        assert rows(conn, "select count(*) from alert_deliveries") == [(1,)]


def test_looked_up_entries_go_when_they_expire(database: Database) -> None:
    with database.connect() as conn:
        lookups.stage(conn, CIPHER, [make_entry(1), make_entry(2), make_entry(3)])
        conn.execute("update looked_up_entries set expires_at = now() where cid = %s", [make_entry(1).cid()])
    assert delete(database) == {"looked_up_entries": 1}


@pytest.mark.parametrize("role", [roles.APPLICATION, roles.COMPLIANCE, roles.AUDITOR])
def test_nobody_else_may_run_it(aged: Database, role: str) -> None:
    with login_with(aged, role) as login:
        with pytest.raises(DatabaseError, match="42501"):
            list(retention.delete(login, KEPT_FOR))
        with pytest.raises(DatabaseError, match="42501"), login.connect() as conn:
            conn.execute("select delete_due_reports(10)")


@pytest.mark.parametrize(
    "statement",
    [
        "delete from sync_reports",
        "delete from review_trail",
        "delete from manual_review_queue",
        "delete from outbox",
        "delete from dict_calls",
        "update evidence_chains set start_number = 5",
        "select start_chains_after('sync_reports', '{}', '{}', '{}')",
        "insert into retention_log (what, rows_deleted) values ('x', 1)",
        "delete from retention_log",
        "select * from entries",
        "select * from sync_reports",
        "select key from manual_review_queue",
        "select ciphertext from fix_details",
        "update sync_reports set status = 'COMPLETED'",
        "select review_approve(gen_random_uuid(), 'x')",
        "create or replace function kept_long_enough(timestamptz) returns boolean language sql as 'select true'",
    ],
)
def test_what_retention_may_not_do(aged: Database, statement: str) -> None:
    with (
        login_with(aged, roles.RETENTION) as login,
        pytest.raises(DatabaseError, match="42501"),
        login.connect() as conn,
    ):
        conn.execute(statement.encode())


@pytest.mark.parametrize("days", [50, pytest.param(3650, marks=pytest.mark.long)])
def test_reports_of_many_years_are_listed_by_their_index(database: Database, days: int) -> None:
    """Of 300 participants, a report a day; how the database reads them is what counts, not how long it takes."""
    with database.connect(bulk=True) as conn:
        reports.insert(conn, REPORT)
        conn.execute("alter table sync_reports disable trigger all")
        conn.execute(
            """
            insert into sync_reports select (jsonb_populate_record(r, jsonb_build_object(
                'id', lpad((day * 1000 + n)::text, 32, '0'), 'run_id', 'run-' || day * 1000 + n,
                'participant_ispb', lpad(n::text, 8, '0'),
                'sync_timestamp', r.sync_timestamp + make_interval(days => day), 'sync_day', r.sync_day + day,
                'dry_run', false, 'chain_number', day))).*
            from sync_reports r, generate_series(1, %s) as day, generate_series(1, 300) as n
            """,
            [days],
        )
        conn.execute("alter table sync_reports enable trigger all")
        conn.commit()
        conn.execute("analyze sync_reports")
        assert len(reports.list_reports(conn, "00000007", 20)) == 20
        plan = _plan(conn, "00000007")
        assert {node["Node Type"] for node in plan} == {"Limit", "Index Scan"}
        assert {node.get("Index Name") for node in plan} == {None, "sync_reports_of_participant"}
        assert "Seq Scan" not in {node["Node Type"] for node in _plan(conn, None)}
        _assert_a_month_is_read_by_its_index(conn)


def _assert_a_month_is_read_by_its_index(conn: Connection) -> None:
    """The calendar: no more rows are read than those of the month, whatever there is besides."""
    first, last = rows(conn, "select min(sync_day) + 10, min(sync_day) + 13 from sync_reports")[0]
    asked = {"first": first, "last": last, "ispbs": [f"{number:08}" for number in range(1, 51)]}
    assert len(reports.last_of_days(conn, asked["ispbs"], first, last)) == 4 * 50
    nodes = _explained(conn, b"analyze, ", reports.DAYS.encode(), asked)
    assert "sync_reports_by_day" in {node.get("Index Name") for node in nodes}
    of_the_table = [node for node in nodes if node["Node Type"] != "Bitmap Index Scan"]
    assert max(int(str(node["Actual Rows"])) for node in of_the_table) <= 4 * 300


def _plan(conn: Connection, ispb: str | None) -> list[dict[str, object]]:
    return _explained(conn, b"", reports.latest_query(ispb).as_bytes(conn), {"ispb": ispb, "limit": 20})


def _explained(conn: Connection, how: bytes, query: bytes, parameters: dict[str, object]) -> list[dict[str, object]]:
    row = conn.execute(b"explain (" + how + b"format json) " + query, parameters).fetchone()
    assert row is not None
    nodes = [row[0][0]["Plan"] if isinstance(row[0], list) else json.loads(row[0])[0]["Plan"]]
    for node in nodes:
        nodes.extend(node.get("Plans", []))
    return nodes
