"""What each role may not do, by trying. That the application may do all it must is shown by a whole sync."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from vsync_dagster.local_db import alerts, fix_details, fixes, participants, reports, review, roles
from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.errors import DatabaseError
from vsync_dagster.local_db.fix_details import FixDetail
from vsync_dagster.local_db.fixes import FixRecord
from vsync_dagster.local_db.metrics import read_figures
from vsync_dagster.local_db.review import ReviewItem
from vsync_dagster_tests.local_db.parts import CIPHER, ISPB, RUN, insert, make_entry, rows, value
from vsync_dagster_tests.local_db.test_alerts import ALERT
from vsync_dagster_tests.local_db.test_reports import REPORT
from vsync_dagster_tests.logins import login_with

ALL = (roles.APPLICATION, roles.COMPLIANCE, roles.AUDITOR, roles.RETENTION, roles.MONITORING, roles.OPERATOR)
ENTRY = make_entry(1)

_GRANTS = """
select relname, relacl::text, (select array_agg(attacl::text order by attname) from pg_attribute where attrelid = c.oid)
from pg_class c where relnamespace = 'public'::regnamespace and relkind = 'r' order by relname
"""


@pytest.fixture
def filled(database: Database) -> Database:
    """A database with one key under review, a fix with its details, and a report."""
    with database.connect() as conn:
        entry_id = insert(conn, ENTRY)
        review.queue(conn, RUN, ISPB, [ReviewItem(entry_id, "CPF", ENTRY.cid(), "MISSING_BACEN", {})])
        fixes.record(conn, RUN, ISPB, [FixRecord(fixes.CREATE, "CPF", entry_id, b"\x01" * 32, fixes.APPLIED, None)])
        fix_details.keep(conn, CIPHER, RUN, [FixDetail(ISPB, fixes.CREATE, b"\x01" * 32, None, {"key": ENTRY.key})])
        reports.insert(conn, REPORT)
    return database


@pytest.fixture
def application(filled: Database) -> Iterator[Database]:
    with login_with(filled, roles.APPLICATION) as login:
        yield login


@pytest.fixture
def compliance(filled: Database) -> Iterator[Database]:
    with login_with(filled, roles.COMPLIANCE) as login:
        yield login


@pytest.fixture
def auditor(filled: Database) -> Iterator[Database]:
    with login_with(filled, roles.AUDITOR) as login:
        yield login


def assert_refused(database: Database, statement: str) -> None:
    with pytest.raises(DatabaseError, match="SQLSTATE 42501"), database.connect() as conn:
        conn.execute(statement.encode())


def test_applied_again_nothing_changes(database: Database) -> None:
    with database.connect() as conn:
        roles.apply(conn)
        granted = rows(conn, _GRANTS)
        roles.apply(conn)
        assert rows(conn, _GRANTS) == granted


@pytest.mark.parametrize("role", ALL)
def test_what_was_granted_before_is_taken_back(database: Database, role: str) -> None:
    """On every table, those of later migrations included."""
    with database.connect() as conn:
        roles.apply(conn)
        granted = rows(conn, _GRANTS)
        conn.execute(f"grant all on all tables in schema public to {role}".encode())
        roles.apply(conn)
        assert rows(conn, _GRANTS) == granted


def test_the_roles_log_in_nowhere_and_own_nothing(database: Database) -> None:
    with database.connect() as conn:
        roles.apply(conn)
        query = "select rolname from pg_roles where rolname = any(%s) and not (rolcanlogin or rolsuper or rolbypassrls)"
        assert {name for (name,) in rows(conn, query, [list(ALL)])} == set(ALL)
        owned = "select count(*) from pg_class c join pg_roles r on r.oid = c.relowner where r.rolname = any(%s)"
        assert value(conn, owned, [list(ALL)]) == 0


@pytest.mark.parametrize(
    "statement",
    [
        "update sync_reports set status = 'COMPLETED'",
        "delete from sync_reports",
        "truncate sync_reports",
        "delete from fixes",
        "delete from fix_details",
        "update fix_details set digest = sha256('')",
        "update fixes set run_id = 'another'",
        "update fixes set cid = sha256('')",
        "update dict_calls set result = 'OK'",
        "delete from dict_calls",
        (
            "insert into cid_events (participant_ispb, key_type, entry_id, cid, event_type)"
            " values ('12345678', 'CPF', gen_random_uuid(), sha256(''), 'ADDED')"
        ),
        "update cid_events set event_type = 'REMOVED'",
        "delete from cid_events",
        "delete from entries",
        "truncate entries",
        "delete from outbox",
        "update outbox set payload = '{}'",
        "insert into review_trail (item_id, step, reason) select id, 'CLOSED', 'x' from manual_review_queue",
        "update review_trail set reason = 'x'",
        "delete from review_trail",
        "update evidence_chains set head_hash = ''",
        "delete from evidence_chains",
        "alter table sync_reports disable trigger chain_report",
        "select lock_chain('sync_reports', '12345678')",
        "delete from manual_review_queue",
        "update manual_review_queue set reviewed_by = 'nobody'",
        "update manual_review_queue set evidence = '{}'",
        "alter table sync_reports disable trigger refuse_report_changes",
        "drop trigger refuse_report_changes on sync_reports",
        "drop trigger refuse_report_changes on sync_reports; delete from sync_reports",
        "alter table entries disable trigger all",
        "alter table sync_reports owner to current_user",
        (
            "create or replace function refuse_report_changes() returns trigger language plpgsql as"
            " 'begin return null; end'"
        ),
        "drop table sync_reports",
        "set session_replication_role = replica",
        "update schema_migrations set version = 0",
        "select review_show_key(id) from manual_review_queue",
        "select review_decide(id, 'CONFIRM_DELETION', 'x', null, null) from manual_review_queue",
        "select review_approve(id, 'x') from manual_review_queue",
        "select review_reject(id, 'x') from manual_review_queue",
    ],
)
def test_what_the_application_may_not_do(application: Database, statement: str) -> None:
    assert_refused(application, statement)


def test_nobody_makes_an_applied_fix_unmade(filled: Database, application: Database) -> None:
    """Neither the application nor the tables' owner, whom the tests connect as."""
    for database in (application, filled):
        with pytest.raises(DatabaseError, match="constraint applied_stays"), database.connect() as conn:
            conn.execute("update fixes set outcome = 'FAILED'")


@pytest.mark.parametrize(
    "statement",
    [
        "select key from entries",
        "select key from manual_review_queue",
        "select * from manual_review_queue",
        "select owner_name from entries",
        "select request_id from entries",
        "select * from looked_up_entries",
        "update entries set status = 'DELETED'",
        "insert into sync_reports select * from sync_reports",
        "delete from sync_reports",
        "insert into review_trail (item_id, step, reason) select id, 'CLOSED', 'x' from manual_review_queue",
        "update review_trail set reason = 'x'",
        "delete from review_trail",
        "update evidence_chains set head_hash = ''",
        "select lock_chain('sync_reports', '12345678')",
        "update outbox set published_at = now()",
        "delete from manual_review_queue",
        "update manual_review_queue set evidence = '{}'",
    ],
)
def test_what_compliance_may_not_do(compliance: Database, statement: str) -> None:
    assert_refused(compliance, statement)


def test_compliance_reads_the_review_queue(compliance: Database) -> None:
    with compliance.connect() as conn:
        [item] = review.open_items(conn)
        assert (item.cid, item.masked_key, item.current) == (ENTRY.cid(), "*********01", True)
        assert reports.list_reports(conn) == [REPORT]
        [detail] = fix_details.of_run(conn, CIPHER, RUN)
        assert detail.after == {"key": ENTRY.key}, "with the keys at hand"


@pytest.mark.parametrize(
    "statement",
    [
        "select * from entries",
        "select key from entries",
        "select * from looked_up_entries",
        "select * from fix_details",
        "select ciphertext from fix_details",
        "select * from manual_review_queue",
        "select key from manual_review_queue",
        "select review_show_key(id) from manual_review_queue",
        "update manual_review_queue set status = 'KEPT'",
        "insert into sync_reports select * from sync_reports",
        "delete from sync_reports",
        "update outbox set attempts = 0",
        "update evidence_chains set head_hash = ''",
        "delete from review_trail",
        "select review_approve(id, 'x') from manual_review_queue",
        "select * from dagster.runs",
    ],
)
def test_what_the_auditor_may_not_do(auditor: Database, statement: str) -> None:
    assert_refused(auditor, statement)


def test_the_auditor_reads_reports_and_their_evidence(auditor: Database) -> None:
    with auditor.connect() as conn:
        assert reports.get(conn, UUID(int=1)) == REPORT
        assert fixes.outcomes(conn, RUN, ISPB) == {("CREATE", "APPLIED"): 1, ("REVIEW", "APPLIED"): 1}
        assert [len(digest) for (digest,) in rows(conn, "select digest from fix_details")] == [32]
        [item] = review.open_items(conn)
        assert (item.cid, item.masked_key, item.current) == (ENTRY.cid(), "*********01", True)


def test_retention_begins_with_nothing(filled: Database) -> None:
    with login_with(filled, roles.RETENTION) as login:
        assert_refused(login, "delete from entries")
        assert_refused(login, "select * from entries")


@pytest.mark.parametrize(
    "statement",
    [
        "select count(*) from entries",
        "select cid from cid_events",
        "select key from manual_review_queue",
        "select masked_key from manual_review_queue",
        "select cid from manual_review_queue",
        "select error_message from sync_reports",
        "select evidence from sync_reports",
        "select verified_vsync from sync_state",
        "select payload from outbox",
        "select text from alerts",
        "select name from participants",
        "select * from dict_calls",
        "select * from fixes",
        "select * from looked_up_entries",
        "create table dagster.of_mine ()",
        "select * from dagster.runs",
        "select review_show_key(gen_random_uuid())",
        "update alerts set resolved_at = now()",
        "update sync_state set answered_at = now()",
        "update dict_budgets set tokens = 0",
        "update participants set enabled = false",
        "delete from sync_reports",
        "insert into participants (participant_ispb) values ('87654321')",
    ],
)
def test_what_monitoring_may_not_do(filled: Database, statement: str) -> None:
    with filled.connect() as conn:
        # As Dagster does when it first runs.
        conn.execute("create table dagster.runs ()")
    with login_with(filled, roles.MONITORING) as login:
        assert_refused(login, statement)


def test_monitoring_reads_all_metrics(filled: Database) -> None:
    with filled.connect() as conn:
        participants.add(conn, ISPB)
    with login_with(filled, roles.MONITORING) as login:
        figures = read_figures(login, [60.0])
    assert [sync.ispb for sync in figures.last_syncs] == ([] if REPORT.dry_run else [ISPB])
    assert {clock.ispb for clock in figures.clocks} == {ISPB}
    assert [queue.waiting for queue in figures.review_queues] == [1]


@pytest.mark.parametrize("role", ALL)
def test_a_login_knows_which_role_it_has(database: Database, role: str) -> None:
    with login_with(database, role) as login, login.connect() as conn:
        assert roles.held(conn) == {role}
    with database.connect() as conn:
        assert roles.held(conn) == frozenset(), "a superuser"


def test_the_operator_resolves_and_silences_alerts_and_does_nothing_else(filled: Database) -> None:
    with filled.connect() as conn:
        alerts.raise_alert(conn, ALERT)
    with login_with(filled, roles.OPERATOR) as operator:
        with operator.connect() as conn:
            alerts.silence(conn, ALERT.fingerprint, "ticket 4711", datetime.now(UTC) + timedelta(hours=1))
            alerts.resolve_by_hand(conn, ALERT.fingerprint, "a typing mistake")
        for statement in (
            "update alerts set resolved_at = null",
            "insert into alert_trail (fingerprint, step, reason) values ('x', 'RESOLVED', 'x')",
            "delete from alert_trail",
            "select key from entries",
            "select * from manual_review_queue",
        ):
            assert_refused(operator, statement)


@pytest.mark.parametrize("role", sorted(set(ALL) - {roles.OPERATOR}))
def test_no_other_role_resolves_or_silences(filled: Database, role: str) -> None:
    with login_with(filled, role) as login:
        assert_refused(login, "select alert_resolve('x', 'y')")
        assert_refused(login, "select alert_silence('x', 'y', now() + interval '1 hour')")
