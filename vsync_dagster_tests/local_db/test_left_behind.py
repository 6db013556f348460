"""What a run leaves behind that is killed before its report: sealed by the next report of its participant."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

import pytest

from vsync_dagster.local_db import calls, chains, fix_details, fixes, leases, reports, roles
from vsync_dagster.local_db.chains import Finding
from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.local_db.fix_details import FixDetail
from vsync_dagster.local_db.fixes import FixRecord
from vsync_dagster.local_db.leases import Fence
from vsync_dagster_tests.local_db.parts import CIPHER, ISPB, rows, value
from vsync_dagster_tests.local_db.test_calls import CALL
from vsync_dagster_tests.local_db.test_chains import findings, tamper
from vsync_dagster_tests.local_db.test_reports import REPORT
from vsync_dagster_tests.local_db.test_retention import delete, seven_years_pass_after
from vsync_dagster_tests.logins import login_with

KILLED, NEXT = "run-killed", "run-next"


def work(conn: Connection, run_id: str) -> None:
    """Take the lease, as if nobody held it, and leave behind what a run leaves; no report."""
    conn.execute("update sync_leases set expires_at = clock_timestamp()")
    assert leases.acquire(conn, Fence(ISPB, run_id), "a-host", 3_600)
    fixes.record(conn, run_id, ISPB, [FixRecord(fixes.CREATE, "CPF", None, b"\x01" * 32, fixes.APPLIED, None)])
    fix_details.keep(conn, CIPHER, run_id, [FixDetail(ISPB, fixes.CREATE, b"\x01" * 32, None, {"key": "1"})])
    calls.record(conn, run_id, [CALL])
    conn.execute(
        """insert into mass_changes (run_id, participant_ispb, sync_day, changes, participants_keys, reason)
        values (%s, %s, '2026-11-24', 1, 1, 'why not')""",
        [run_id, ISPB],
    )


def report(conn: Connection, number: int, run_id: str) -> None:
    assert reports.insert(conn, replace(REPORT, id=UUID(int=number), run_id=run_id))


@pytest.fixture
def sealed(database: Database) -> Database:
    """A run that was killed, and the next one, which has ended with a report."""
    with database.connect() as conn:
        work(conn, KILLED)
        work(conn, NEXT)
        report(conn, 2, NEXT)
    return database


def problems(found: Sequence[Finding]) -> list[tuple[str | None, str]]:
    return [(each.row_id, each.problem.removesuffix(": not what it was")) for each in found]


def test_the_next_report_seals_what_a_killed_run_has_left(sealed: Database) -> None:
    assert findings(sealed) == []
    with sealed.connect() as conn:
        behind = value(conn, "select evidence -> 'left_behind' from sync_reports")
    assert behind.keys() == {KILLED}
    assert {name: seal["rows"] for name, seal in behind[KILLED]["evidence"].items()} == {
        "fixes": 1, "fix_details": 1, "dict_calls": 1, "mass_changes": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("update fixes set error = 'x'", "fixes of {}: 1 rows when it was written, 1 now"),
        ("delete from fixes", "fixes of {}: 1 rows when it was written, 0 now"),
        ("update fix_details set digest = sha256('')", "fix_details of {}: 1 rows when it was written, 1 now"),
        ("update fix_details set kind = 'UPDATE'", "fix_details of {}: 1 rows when it was written, 1 now"),
        ("delete from fix_details", "fix_details of {}: 1 rows when it was written, 0 now"),
        ("update dict_calls set result = 'NOK'", "dict_calls of {}: 1 rows when it was written, 1 now"),
        ("delete from dict_calls", "dict_calls of {}: 1 rows when it was written, 0 now"),
        ("update mass_changes set person = 'ana'", "mass_changes of {}: 1 rows when it was written, 1 now"),
    ],
)
def test_tampering_with_what_it_left_is_found(sealed: Database, statement: str, problem: str) -> None:
    found = tamper(sealed, f"{statement} where run_id = '{KILLED}'")
    assert problems(found) == [(str(UUID(int=2)), problem.format(f"the killed run {KILLED}"))]


def test_what_is_slipped_in_under_the_name_of_a_run_that_left_nothing_is_found(database: Database) -> None:
    with database.connect() as conn:
        assert leases.acquire(conn, Fence(ISPB, KILLED), "a-host", 0)
        work(conn, NEXT)
        report(conn, 2, NEXT)
        fixes.record(conn, KILLED, ISPB, [FixRecord(fixes.CREATE, "CPF", None, b"\x01" * 32, fixes.APPLIED, None)])
    [(_, problem)] = problems(findings(database))
    assert problem == f"fixes of the killed run {KILLED}: 0 rows when it was written, 1 now"


def test_a_call_whose_answer_came_late_is_no_finding(sealed: Database) -> None:
    with sealed.connect() as conn:
        calls.record(conn, KILLED, [CALL])
    assert findings(sealed) == []


def test_its_own_report_may_come_later_and_binds_it_too(sealed: Database) -> None:
    with sealed.connect() as conn:
        calls.record(conn, KILLED, [CALL])
        report(conn, 3, KILLED)
        work(conn, "run-after")
        report(conn, 4, "run-after")
        assert value(conn, "select count(*) from sync_reports where evidence ? 'left_behind'") == 1, "sealed once"
    assert findings(sealed) == []
    found = tamper(sealed, f"delete from fix_details where run_id = '{KILLED}'")  # noqa: S608
    assert {row_id for row_id, _ in problems(found)} == {str(UUID(int=2)), str(UUID(int=3))}


def test_a_report_of_a_run_without_the_lease_seals_nothing_of_a_run_at_work(database: Database) -> None:
    """As the sensor writes it of a run that was killed, while the next one is at work already."""
    with database.connect() as conn:
        work(conn, KILLED)
        work(conn, NEXT)
        report(conn, 1, KILLED)
        calls.record(conn, NEXT, [CALL])
        report(conn, 2, NEXT)
        assert value(conn, "select count(*) from sync_reports where evidence ? 'left_behind'") == 0
    assert findings(database) == []


def test_several_killed_runs_are_sealed_together_and_each_once(database: Database) -> None:
    with database.connect() as conn:
        for run_id in ("run-1", "run-2", "run-3"):
            work(conn, run_id)
        report(conn, 3, "run-3")
        for run_id in ("run-4", "run-5"):
            work(conn, run_id)
        report(conn, 5, "run-5")
        keys = "select array(select jsonb_object_keys(evidence -> 'left_behind')) from sync_reports order by run_id"
        assert rows(conn, keys) == [(["run-1", "run-2"],), (["run-4"],)]
    assert findings(database) == []


def test_retention_takes_it_with_the_report_that_sealed_it(sealed: Database) -> None:
    with sealed.connect() as conn:
        conn.execute("update dict_calls set called_at = now() - interval '1 day'")
        seven_years_pass_after(conn, value(conn, "select clock_timestamp() - interval '1 hour'"))
    assert delete(sealed) == {}, "the call is old enough, and the report that seals it is not"
    with sealed.connect() as conn:
        seven_years_pass_after(conn, value(conn, "select clock_timestamp() + interval '1 hour'"))
    assert delete(sealed) == {"sync_reports": 1}
    assert findings(sealed) == []
    with sealed.connect() as conn:
        for table in ("fixes", "fix_details", "dict_calls", "mass_changes"):
            assert value(conn, f"select count(*) from {table}") == 0  # noqa: S608


def test_retention_leaves_it_where_its_own_report_still_stands(sealed: Database) -> None:
    with sealed.connect() as conn:
        cut = value(conn, "select clock_timestamp()")
    with sealed.connect() as conn:
        report(conn, 3, KILLED)
        seven_years_pass_after(conn, cut)
    assert delete(sealed) == {"sync_reports": 1}
    assert findings(sealed) == []
    with sealed.connect() as conn:
        assert rows(conn, "select run_id from fixes") == [(KILLED,)]


@pytest.mark.parametrize("role", [roles.COMPLIANCE, roles.AUDITOR])
def test_the_roles_that_read_reports_can_verify_it(sealed: Database, role: str) -> None:
    with login_with(sealed, role) as login:
        assert findings(login) == []
        with login.connect() as conn:
            assert list(chains.verify(conn, ISPB)) == []
