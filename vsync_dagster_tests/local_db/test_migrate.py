from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from itertools import chain
from uuid import UUID

import psycopg
import pytest
from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb

from vsync_dagster.local_db import calls, chains, reports, review
from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.local_db.errors import DatabaseError
from vsync_dagster.local_db.key_table.attach import detach
from vsync_dagster.local_db.migrate import Migration, SchemaOccupiedError, migrate, migrations
from vsync_dagster.local_db.review import ReviewItem
from vsync_dagster.reconcile.errors import PermanentError
from vsync_dagster_tests.local_db.parts import ISPB, insert, make_entry, rows, value
from vsync_dagster_tests.local_db.test_calls import CALL
from vsync_dagster_tests.local_db.test_reports import REPORT
from vsync_dagster_tests.their_table import attach_theirs

TABLES = {
    "alert_deliveries",
    "alert_targets",
    "alert_trail",
    "alerts",
    "cid_events",
    "cid_files",
    "dict_budget_readings",
    "dict_budgets",
    "dict_calls",
    "entries",
    "evidence_chains",
    "fix_details",
    "fixes",
    "integrity_checks",
    "key_table",
    "looked_up_entries",
    "manual_review_queue",
    "mass_changes",
    "retention_log",
    "review_trail",
    "outbox",
    "participants",
    "schema_migrations",
    "sync_lease_history",
    "sync_leases",
    "sync_reports",
    "sync_state",
}


def test_migrations_are_numbered_without_gaps() -> None:
    assert [migration.version for migration in migrations()] == list(range(1, len(migrations()) + 1))


def test_an_empty_database_gets_every_table(empty_database: Database) -> None:
    names = migrate(empty_database)
    assert names == [migration.name for migration in migrations()]
    with empty_database.connect() as conn:
        found = rows(conn, "select tablename from pg_tables where schemaname = 'public'")
        assert {name for (name,) in found} == TABLES
        assert value(conn, "select count(*) from pg_namespace where nspname = 'dagster'") == 1
        assert rows(conn, "select name from schema_migrations order by version") == [(name,) for name in names]


def test_a_second_time_applies_nothing(database: Database) -> None:
    assert migrate(database) == []


def test_several_at_once_apply_each_migration_once(empty_database: Database) -> None:
    with ThreadPoolExecutor(3) as pool:
        applied = pool.map(lambda _: migrate(empty_database), range(3))
    assert sorted(chain.from_iterable(applied)) == [migration.name for migration in migrations()]


def test_only_what_is_missing_is_applied(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    known = migrations()
    later = Migration(len(known) + 1, "of_tomorrow", b"create table of_tomorrow ()")
    monkeypatch.setattr("vsync_dagster.local_db.migrate.migrations", lambda: [*known, later])
    assert migrate(database) == [later.name]


def test_a_newer_schema_is_refused(database: Database) -> None:
    with database.connect() as conn:
        conn.execute("insert into schema_migrations (version, name) values (9999, '9999_of_tomorrow')")
    with pytest.raises(PermanentError, match="upgrade vsync-dagster"):
        migrate(database)


def test_the_owners_indexes_are_there(database: Database) -> None:
    with database.connect() as conn:
        definitions = dict(rows(conn, "select indexname, indexdef from pg_indexes where tablename = 'entries'"))
    assert definitions["idx_entries_key"].endswith("(key)")
    assert definitions["idx_entries_ispb"].endswith("(participant_ispb)")
    assert definitions["idx_entries_updated_at"].endswith("(updated_at DESC)")
    assert definitions["idx_entries_ispb_key"].endswith("(participant_ispb, key)")


_COLUMNS = "select column_name from information_schema.columns where table_name = 'sync_reports'"


def insert_older(conn: Connection, report: reports.Report) -> None:
    """Write a report as an older version did, into the columns that there were."""
    values = {field.name: getattr(report, field.name) for field in fields(report)}
    there = {name for (name,) in rows(conn, _COLUMNS)}
    known = {name: Jsonb(each) if isinstance(each, dict) else each for name, each in values.items() if name in there}
    names = SQL(", ").join(map(Identifier, known))
    places = SQL(", ").join([SQL("%s")] * len(known))
    conn.execute(SQL("insert into sync_reports ({}) values ({})").format(names, places), list(known.values()))


def test_what_an_older_version_has_written_is_chained(
    empty_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = [migration for migration in migrations() if migration.name < "0014_hash_chains"]
    with monkeypatch.context() as patch:
        patch.setattr("vsync_dagster.local_db.migrate.migrations", lambda: older)
        migrate(empty_database)
    with empty_database.connect() as conn:
        for number in (1, 2):
            insert_older(conn, replace(REPORT, id=UUID(int=number), run_id=f"run-{number}"))
        calls.record(conn, "run-1", [CALL])
        entry = insert(conn, make_entry(1))
        review.queue(conn, "run-1", ISPB, [ReviewItem(entry, "CPF", make_entry(1).cid(), "MISSING_BACEN", {})])
    migrate(empty_database)
    with empty_database.connect() as conn:
        reports.insert(conn, replace(REPORT, id=UUID(int=3), run_id="run-3"))
        conn.commit()
        assert list(chains.verify(conn)) == []
        assert [(each.table_name, each.head_number) for each in chains.chains(conn)] == [
            ("review_trail", 1),
            ("sync_reports", 3),
        ]
    for statement in ("delete from sync_reports", "delete from review_trail"):
        with pytest.raises(DatabaseError, match="append_only"), empty_database.connect() as conn:
            conn.execute(statement.encode())


def test_a_mass_change_of_an_older_version_is_still_what_was_sealed(
    empty_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A column that came later is in no seal."""
    older = [migration for migration in migrations() if migration.name < "0021_who_allowed"]
    with monkeypatch.context() as patch:
        patch.setattr("vsync_dagster.local_db.migrate.migrations", lambda: older)
        migrate(empty_database)
    with empty_database.connect() as conn:
        conn.execute(
            """insert into mass_changes (run_id, participant_ispb, sync_day, changes, participants_keys, reason)
            values ('run-1', %s, '2026-11-24', 1, 1, 'why not')""",
            [ISPB],
        )
        insert_older(conn, replace(REPORT, id=UUID(int=1), run_id="run-1"))
    migrate(empty_database)
    with empty_database.connect() as conn:
        assert list(chains.verify(conn)) == []


def test_the_last_true_ok_is_taken_from_what_an_older_version_knew(
    empty_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = [migration for migration in migrations() if migration.name < "0024_true_ok"]
    with monkeypatch.context() as patch:
        patch.setattr("vsync_dagster.local_db.migrate.migrations", lambda: older)
        migrate(empty_database)
    with empty_database.connect() as conn:
        proved = {"CPF": {"proof": "VSYNC_WITHOUT_REVIEW"}, "EVP": {"proof": "VSYNC"}}
        insert_older(conn, replace(REPORT, key_types=proved, dry_run=False))
        conn.execute(
            """
            insert into sync_state (participant_ispb, key_type, verified_at, excluded_cids) values
                (%(ispb)s, 'CPF', '2026-11-25', array[sha256('a')]),
                (%(ispb)s, 'EVP', '2026-11-25', array[sha256('a')]),
                (%(ispb)s, 'PHONE', '2026-11-25', '{}'), (%(ispb)s, 'EMAIL', null, '{}')
            """,
            {"ispb": ISPB},
        )
    migrate(empty_database)
    with empty_database.connect() as conn:
        found = dict(rows(conn, "select key_type, true_ok_at from sync_state"))
        verified = value(conn, "select verified_at from sync_state where key_type = 'PHONE'")
    assert found == {"CPF": None, "EVP": REPORT.sync_timestamp, "PHONE": verified, "EMAIL": None}


def _migrate_up_to(name: str, monkeypatch: pytest.MonkeyPatch, database: Database) -> None:
    older = [migration for migration in migrations() if migration.name < name]
    with monkeypatch.context() as patch:
        patch.setattr("vsync_dagster.local_db.migrate.migrations", lambda: older)
        migrate(database)


@pytest.mark.parametrize("attached", [False, True])
def test_letters_are_taken_by_a_database_of_an_older_version_also_while_a_key_table_is_attached(
    empty_database: Database, monkeypatch: pytest.MonkeyPatch, attached: bool
) -> None:
    [name] = [migration.name for migration in migrations() if migration.name.endswith("letters_in_ispbs")]
    _migrate_up_to(name, monkeypatch, empty_database)
    with pytest.raises(DatabaseError, match="entries_participant_ispb_check"), empty_database.connect() as conn:
        insert(conn, replace(make_entry(1), participant="abCD1234"))
    if attached:
        attach_theirs(empty_database)

    migrate(empty_database)

    with empty_database.connect() as conn:
        if attached:
            detach(conn)
        insert(conn, replace(make_entry(1), participant="abCD1234"))
        assert value(conn, "select participant_ispb::text from entries") == "abCD1234"
        with pytest.raises(psycopg.errors.CheckViolation), conn.transaction():
            insert(conn, replace(make_entry(2), participant="abCD-123"))


@pytest.mark.parametrize("occupied", ["create table {} (id int)", "create view {} as select 1"], ids=["table", "view"])
@pytest.mark.parametrize("name", ["entries", "sync_reports"])
def test_a_name_that_is_taken_is_named_and_nothing_is_changed(
    empty_database: Database, name: str, occupied: str
) -> None:
    with empty_database.connect() as conn:
        conn.execute(occupied.format(name).encode())
    with pytest.raises(SchemaOccupiedError, match=f"holds {name} already"):
        migrate(empty_database)
    with empty_database.connect() as conn:
        assert relations(conn) == {name}


def test_a_migration_that_is_refused_leaves_nothing(empty_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    known = migrations()
    broken = Migration(len(known) + 1, "broken", b"create table of_tomorrow (); select 1 / 0")
    monkeypatch.setattr("vsync_dagster.local_db.migrate.migrations", lambda: [*known, broken])
    with pytest.raises(DatabaseError):
        migrate(empty_database)
    with empty_database.connect() as conn:
        assert relations(conn) == set()
        assert value(conn, "select count(*) from pg_namespace where nspname = 'dagster'") == 0


def test_tables_are_in_public_whatever_the_search_path_of_the_login(empty_database: Database) -> None:
    elsewhere = Database(f"{empty_database.url}?options=-csearch_path%3Dbank,public")
    with empty_database.connect() as conn:
        conn.execute("create schema bank")
        conn.execute("create table bank.entries (id int)")
    migrate(elsewhere)
    with elsewhere.connect() as conn:
        assert value(conn, "select count(*) from pg_tables where schemaname = 'bank'") == 1
        assert relations(conn) >= TABLES
        assert value(conn, "select count(*) from entries where participant_ispb = ''") == 0


def relations(conn: Connection) -> set[str]:
    return {name for (name,) in rows(conn, "select relname from pg_class where relnamespace = 'public'::regnamespace")}
