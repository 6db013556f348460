"""The chains of hashes, against somebody who may do everything: a superuser who switches triggers off."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from uuid import UUID

import pytest
from psycopg.sql import SQL, Identifier

from vsync_dagster.local_db import calls, chains, decisions, fix_details, fixes, reports, review, roles
from vsync_dagster.local_db.chains import Finding, KnownHead
from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.local_db.decisions import Decision
from vsync_dagster.local_db.fix_details import FixDetail
from vsync_dagster.local_db.fixes import FixRecord
from vsync_dagster.local_db.review import ReviewItem
from vsync_dagster_tests.local_db.parts import CIPHER, ISPB, OTHER_ISPB, insert, make_entry, rows
from vsync_dagster_tests.local_db.test_calls import CALL
from vsync_dagster_tests.local_db.test_reports import REPORT
from vsync_dagster_tests.logins import login_with

REPORTS = 5


def report_id(number: int) -> str:
    return str(UUID(int=number))


@pytest.fixture
def chained(database: Database) -> Database:
    """Five reports of one participant, one of another, and an item with its steps; run-3 has left evidence."""
    with database.connect() as conn:
        fixes.record(conn, "run-3", ISPB, [FixRecord(fixes.CREATE, "CPF", None, b"\x01" * 32, fixes.APPLIED, None)])
        fix_details.keep(conn, CIPHER, "run-3", [FixDetail(ISPB, fixes.CREATE, b"\x01" * 32, None, {"key": "1"})])
        calls.record(conn, "run-3", [CALL, CALL])
        for number in range(1, REPORTS + 1):
            reports.insert(conn, replace(REPORT, id=UUID(int=number), run_id=f"run-{number}"))
        reports.insert(conn, replace(REPORT, id=UUID(int=9), run_id="run-9", participant_ispb=OTHER_ISPB))
        entry_id = insert(conn, make_entry(1))
        review.queue(conn, "run-0", ISPB, [ReviewItem(entry_id, "CPF", make_entry(1).cid(), "MISSING_BACEN", {})])
        [item] = review.open_items(conn)
        decisions.decide(conn, item.id, Decision.INVESTIGATE, "unclear", assignee="ana")
        tomorrow = date.today() + timedelta(days=2)  # noqa: DTZ011 - the database's day, about
        decisions.decide(conn, item.id, Decision.KEEP, "on its way", ask_again_on=tomorrow)
    return database


def findings(database: Database, known: list[KnownHead] | None = None) -> list[Finding]:
    with database.connect() as conn:
        return list(chains.verify(conn, known=known or []))


@contextmanager
def triggers_off(database: Database) -> Iterator[Connection]:
    """A superuser's connection on which no trigger fires, not even those that always do."""
    tables = ("sync_reports", "review_trail", "fixes", "fix_details", "manual_review_queue", "mass_changes")
    with database.connect() as conn:
        for table in tables:
            conn.execute(SQL("alter table {} disable trigger all").format(Identifier(table)))
        yield conn
        for table in tables:
            conn.execute(SQL("alter table {} enable trigger all").format(Identifier(table)))


def tamper(database: Database, statement: str) -> list[Finding]:
    with triggers_off(database) as conn:
        conn.execute(statement.encode())
    return findings(database)


def test_what_was_not_touched_is_whole(chained: Database) -> None:
    assert findings(chained) == []
    with chained.connect() as conn:
        heads = {(each.table_name, each.participant_ispb): each.head_number for each in chains.chains(conn)}
    assert heads == {("sync_reports", ISPB): 5, ("sync_reports", OTHER_ISPB): 1, ("review_trail", ISPB): 3}


_OTHER_VALUE = {
    "bigint": "{0} + 1000",
    "boolean": "not {0}",
    "bytea": "sha256(coalesce({0}, ''))",
    "character": "'87654321'",
    "date": "coalesce({0}, '2026-01-01') + 1",
    "integer": "{0} + 1",
    "jsonb": "{0} || '{{\"x\": 1}}'",
    "text": "coalesce({0}, '') || ' '",
    "timestamp with time zone": "coalesce({0}, now()) + interval '1 microsecond'",
    "uuid": "gen_random_uuid()",
}


@pytest.mark.parametrize("table", chains.TABLES)
def test_a_change_of_any_column_is_found(chained: Database, table: str) -> None:
    """Of every column that there is: a new one that the chain does not cover fails here."""
    restore = SQL("delete from {0}; insert into {0} overriding system value select * from untouched").format(
        Identifier(table)
    )
    with triggers_off(chained) as conn:
        conn.execute(SQL("create table untouched as select * from {}").format(Identifier(table)))
        for constraint in ("sync_reports_status_check", "sync_reports_sync_type_check"):
            conn.execute(SQL("alter table sync_reports drop constraint {}").format(Identifier(constraint)))
        for constraint in ("review_trail_step_check", "review_trail_item_id_fkey"):
            conn.execute(SQL("alter table review_trail drop constraint {}").format(Identifier(constraint)))
        conn.execute("alter table review_trail alter id set generated by default")
        query = "select column_name, data_type from information_schema.columns where table_name = %s"
        columns = rows(conn, query, [table])
        conn.commit()
        for name, kind in columns:
            other = _OTHER_VALUE[kind].format(f'"{name}"')
            change = SQL("update {} set {} = {} where chain_number = 2 and participant_ispb = %s").format(
                Identifier(table),
                Identifier(name),
                SQL(other),
            )
            assert conn.execute(change, [ISPB]).rowcount == 1
            conn.commit()
            assert findings(chained), f"a change of {name} is not found"
            conn.execute(restore)
            conn.commit()
            assert findings(chained) == []


@pytest.mark.parametrize(
    ("statement", "row_id", "problem"),
    [
        ("update sync_reports set verified = not verified where run_id = 'run-3'", report_id(3), "changed"),
        ("update sync_reports set status = 'FAILED' where run_id = 'run-5'", report_id(5), "changed"),
        ("delete from sync_reports where run_id = 'run-1'", None, "row 1 is missing"),
        ("delete from sync_reports where run_id in ('run-2', 'run-3')", None, "rows 2 to 3 are missing"),
        ("delete from sync_reports where run_id = 'run-5'", None, "row 5 is missing"),
        ("delete from sync_reports", None, "rows 1 to 5 are missing"),
        (
            """insert into sync_reports select (jsonb_populate_record(r, jsonb_build_object(
                'id', '00000000-0000-0000-0000-0000000000ff', 'run_id', 'x', 'chain_number', 6))).*
            from sync_reports r where run_id = 'run-5'""",
            report_id(255),
            "inserted",
        ),
        ("update review_trail set reason = 'another' where step = 'DECIDED' and decision = 'KEEP'", "3", "changed"),
        ("update review_trail set done_by = 'ana' where decision = 'INVESTIGATE'", "2", "changed"),
        ("delete from review_trail where decision = 'INVESTIGATE'", None, "row 2 is missing"),
        ("delete from review_trail where decision = 'KEEP'", None, "row 3 is missing"),
        ('update manual_review_queue set evidence = \'{"file_requested_at": "x"}\'', "1", "its item"),
        ("update manual_review_queue set cid = sha256('')", "1", "its item"),
        (
            "delete from fixes where run_id = 'run-3'",
            report_id(3),
            "fixes of its run: 1 rows when it was written, 0 now",
        ),
        ("update fixes set error = 'x' where run_id = 'run-3'", report_id(3), "fixes of its run: 1 rows"),
        ("update fix_details set digest = sha256('')", report_id(3), "fix_details of its run: 1 rows"),
        ("update dict_calls set result = 'NOK' where run_id = 'run-3'", report_id(3), "dict_calls of its run: 2 rows"),
        (
            "delete from dict_calls where id = (select max(id) from dict_calls)",
            report_id(3),
            "dict_calls of its run: 2 rows when it was written, 1 now",
        ),
        (
            """insert into mass_changes (run_id, participant_ispb, sync_day, changes, participants_keys, reason)
            values ('run-3', '00416968', '2026-11-24', 1, 1, 'why not')""",
            report_id(3),
            "mass_changes of its run: 0 rows when it was written, 1 now",
        ),
    ],
)
def test_tampering_is_found_and_its_row_is_named(
    chained: Database, statement: str, row_id: str | None, problem: str
) -> None:
    found = tamper(chained, statement)
    assert [each for each in found if each.row_id == row_id and each.problem.startswith(problem)], found


def test_two_rows_that_were_swapped_are_both_named(chained: Database) -> None:
    found = tamper(
        chained,
        """update sync_reports a set chain_number = -b.chain_number, chain_hash = b.chain_hash from sync_reports b
        where (a.run_id, b.run_id) in (('run-2', 'run-3'), ('run-3', 'run-2'));
        update sync_reports set chain_number = -chain_number where chain_number < 0""",
    )
    assert {each.row_id for each in found if each.problem.startswith("changed")} >= {report_id(2), report_id(3)}


def test_a_row_slipped_in_between_is_named(chained: Database) -> None:
    found = tamper(
        chained,
        """drop index sync_reports_chain;
        insert into sync_reports select (jsonb_populate_record(r, jsonb_build_object(
            'id', '00000000-0000-0000-0000-0000000000ff', 'run_id', 'x'))).*
        from sync_reports r where run_id = 'run-3'""",
    )
    assert (report_id(255), "inserted: it was not written as the chain's rows are") in {
        (each.row_id, each.problem) for each in found
    }


def test_other_participants_are_left_out_of_a_finding(chained: Database) -> None:
    tamper(chained, "update sync_reports set verified = not verified where run_id = 'run-3'")
    with chained.connect() as conn:
        assert list(chains.verify(conn, OTHER_ISPB)) == []


def test_a_chain_that_was_written_anew_is_found_by_a_head_that_was_kept(chained: Database) -> None:
    with chained.connect() as conn:
        kept = [
            KnownHead(each.table_name, each.participant_ispb, each.head_number, each.head_hash)
            for each in chains.chains(conn)
        ]
    assert findings(chained, kept) == []
    with triggers_off(chained) as conn:
        saved = reports.list_reports(conn, ISPB)
        conn.execute("delete from sync_reports where participant_ispb = %s", [ISPB])
        conn.execute("delete from evidence_chains where participant_ispb = %s", [ISPB])
    with chained.connect() as conn:
        for report in saved:
            reports.insert(conn, replace(report, verified=True))
    assert not [each for each in findings(chained) if each.table_name == "sync_reports"], "it is whole in itself"
    found = findings(chained, kept)
    assert [each.problem for each in found if each.table_name == "sync_reports"] == [
        "the chain was written anew up to it"
    ]


def test_two_heads_that_contradict_each_other_are_found_in_any_order(chained: Database) -> None:
    """As a consumer has kept them: one of before the chain was written anew, one of after."""
    with chained.connect() as conn:
        true = next(head for head in chains.heads(conn, ISPB) if head.table_name == "sync_reports")
    false = replace(true, hash=b"\x01" * 32)
    for known in ([true, false], [false, true]):
        assert [each.problem for each in findings(chained, known)] == ["the chain was written anew up to it"]


def test_an_application_knows_the_heads_of_what_it_has_written(chained: Database) -> None:
    with login_with(chained, roles.APPLICATION) as login, login.connect() as conn:
        reports.insert(conn, replace(REPORT, id=UUID(int=6), run_id="run-6"))
        heads = {(head.table_name, head.number): head.hash for head in chains.heads(conn, ISPB)}
        conn.commit()
    with chained.connect() as conn:
        expected = {
            (each.table_name, each.head_number): each.head_hash
            for each in chains.chains(conn)
            if each.participant_ispb == ISPB
        }
    assert heads == expected


def test_a_second_report_of_a_run_moves_no_chain(chained: Database) -> None:
    with chained.connect() as conn:
        assert not reports.insert(conn, replace(REPORT, id=UUID(int=7), run_id="run-5"))
        reports.insert(conn, replace(REPORT, id=UUID(int=8), run_id="run-8"))
    assert findings(chained) == []


def test_another_key_for_the_details_changes_no_chain(chained: Database) -> None:
    with chained.connect() as conn:
        conn.execute("update fix_details set key_id = 'another', ciphertext = 'x'")
    assert findings(chained) == []


def test_another_time_zone_changes_no_chain(chained: Database) -> None:
    with chained.connect() as conn:
        conn.execute("set timezone = 'America/Sao_Paulo'")
        conn.execute("set datestyle = 'German'")
        conn.commit()
        assert list(chains.verify(conn)) == []


@pytest.mark.parametrize("role", [roles.COMPLIANCE, roles.AUDITOR])
def test_the_roles_that_read_reports_can_verify_them(chained: Database, role: str) -> None:
    with login_with(chained, role) as login:
        assert findings(login) == []
