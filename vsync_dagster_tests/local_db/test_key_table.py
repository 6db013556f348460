"""A participant's own key table in the place of `entries`: read, written, told to the ledger, and taken out again."""

from collections.abc import Iterator
from dataclasses import replace
from uuid import UUID

import psycopg
import pytest

from vsync_dagster.local_db import fix_details, fixes, leases, roles
from vsync_dagster.local_db import migrate as migrations
from vsync_dagster.local_db.carried import Baseline, LedgerUnusableError, carry_forward
from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.local_db.entries import local_entries_for_keys
from vsync_dagster.local_db.fixes import CREATE, UPDATE, Fix, FixResult
from vsync_dagster.local_db.key_table.attach import attach, detach
from vsync_dagster.local_db.key_table.check import count, findings, require_same_table, sample
from vsync_dagster.local_db.key_table.columns import OUR_COLUMNS
from vsync_dagster.local_db.key_table.mapping import KeyMappingError, parse
from vsync_dagster.local_db.leases import Fence
from vsync_dagster.local_db.snapshot import read_snapshot
from vsync_dagster.reconcile.entry import Entry
from vsync_dagster.reconcile.errors import PermanentError, RefusedError
from vsync_dagster_tests.local_db.parts import CIPHER, RUN, insert, make_entry, rows, stored, value
from vsync_dagster_tests.logins import login_with
from vsync_dagster_tests.their_table import BLOCKED, MAPPING, TABLE, attach_theirs

ISPB = "12345678"
EVENTS = "select event_type, key_type, entry_id, cid from cid_events order by event_id"
THEIR_KEY = """
insert into core.pix_keys (pix_key, tipo, conta, tipo_conta, documento, nome, solicitacao, cid, situacao)
values (%s, 'TELEFONE', '0001', 'CORRENTE', '52998224725', 'Ana', %s, %s, %s)
"""
A_REQUEST = "01010101-0101-4101-8101-010101010101"


def entry(number: int, **changes: str | None) -> Entry:
    return make_entry(number, participant=ISPB, **changes)


def row_of(conn: Connection, number: int) -> tuple[object, ...]:
    """What their table holds of an entry, in their own words."""
    query = "select tipo, tipo_conta::text, pessoa, situacao, solicitacao, cid, canal, limite from core.pix_keys"
    [row] = rows(conn, f"{query} where pix_key = %s", [entry(number).key])
    return row


def created(conn: Connection, target: Entry) -> FixResult:
    [result] = fixes.apply_batch(conn, CIPHER, RUN, ISPB, [Fix(CREATE, None, None, None, target)])
    return result


def updated(conn: Connection, target: Entry) -> FixResult:
    """Fix the row that has the target's key."""
    [row] = local_entries_for_keys(conn, ISPB, [target.key])
    [result] = fixes.apply_batch(conn, CIPHER, RUN, ISPB, [Fix(UPDATE, row.entry_id, row.cid, row.row_version, target)])
    return result


@pytest.fixture
def theirs(database: Database) -> Database:
    attach_theirs(database)
    return database


@pytest.fixture
def conn(theirs: Database) -> Iterator[Connection]:
    with theirs.connect() as connection:
        yield connection


def test_an_entry_is_written_in_their_words_and_read_in_ours(conn: Connection) -> None:
    for target in (
        entry(0, key_type="CPF", account_type="CACC", owner_type="NATURAL_PERSON"),
        entry(1, key_type="PHONE", account_type="TRAN", owner_type="LEGAL_PERSON", owner_trade_name="Loja"),
        entry(2, key_type="EVP", account_type="SVGS", branch=None),
    ):
        entry_id = insert(conn, target)
        assert stored(conn, entry_id) == target
        assert entry_id.int == value(conn, "select id from core.pix_keys where pix_key = %s", [target.key])
    request_id = str(entry(1).request_id)
    assert row_of(conn, 1)[:5] == ("TELEFONE", "PAGAMENTO", "J", 1, request_id)
    assert row_of(conn, 1)[6:] == ("APP", 1000), "their own columns have their defaults"
    assert row_of(conn, 2)[0] == "ALEATORIA"


def test_a_fix_creates_and_updates_and_leaves_what_is_theirs_alone(conn: Connection) -> None:
    assert created(conn, entry(1)).outcome == "APPLIED"
    conn.execute("update core.pix_keys set canal = 'BRANCH', limite = 5, cor = 'azul', situacao = %s", [BLOCKED])
    target = entry(1, owner_name="Ana Maria", branch="0002", account_type="SLRY")

    result = updated(conn, target)

    assert (result.outcome, result.error) == ("APPLIED", None)
    assert stored(conn, result.entry_id or UUID(int=0)) == target
    assert row_of(conn, 1)[1:4] == ("SALARIO", "F", BLOCKED), "both of the words mean ACTIVE: theirs stays"
    assert row_of(conn, 1)[6:] == ("BRANCH", 5)
    details = {detail.kind: detail for detail in fix_details.of_run(conn, CIPHER, RUN)}
    assert details["CREATE"].after["owner_name"] == (details["UPDATE"].before or {})["owner_name"] == "João da Silva"
    assert details["UPDATE"].after["owner_name"] == "Ana Maria"
    assert details["UPDATE"].after.keys() == {*OUR_COLUMNS, "xmin"}


def test_rows_that_swap_their_keys_are_fixed_in_one_batch(conn: Connection) -> None:
    for number in (1, 2):
        insert(conn, entry(number))
    held = {row.key: row for row in local_entries_for_keys(conn, ISPB, [entry(1).key, entry(2).key])}
    batch = [
        Fix(UPDATE, held[entry(a).key].entry_id, entry(a).cid(), held[entry(a).key].row_version, entry(b))
        for a, b in ((1, 2), (2, 1))
    ]
    assert [result.outcome for result in fixes.apply_batch(conn, CIPHER, RUN, ISPB, batch)] == ["APPLIED"] * 2


def test_a_row_that_was_changed_since_is_left_as_it_is(conn: Connection, theirs: Database) -> None:
    insert(conn, entry(1))
    conn.commit()
    [row] = local_entries_for_keys(conn, ISPB, [entry(1).key])
    with theirs.connect() as other:
        other.execute("update core.pix_keys set nome = 'Outra'")
    fix = Fix(UPDATE, row.entry_id, row.cid, row.row_version, entry(1, owner_name="Ana"))
    [result] = fixes.apply_batch(conn, CIPHER, RUN, ISPB, [fix])
    assert result.outcome == "MOVED"


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("alter column aberta_em type timestamp(0)", "kept_as_written"),
        ("alter column nome type varchar(3)", "SQLSTATE 22001"),
        ("add check (nome <> 'João da Silva')", "SQLSTATE 23514"),
    ],
)
def test_what_their_table_cannot_keep_fails_alone(database: Database, change: str, constraint: str) -> None:
    with database.connect() as conn:
        conn.execute(TABLE.encode())
        conn.execute(f"alter table core.pix_keys {change}".encode())
        attach(conn, parse(MAPPING))
        unkept = replace(entry(1), account_opened_at=entry(1).created_at)
        kept = replace(entry(2, owner_name="Ana"), account_opened_at=entry(2).account_opened_at)
        batch = [Fix(CREATE, None, None, None, target) for target in (unkept, kept)]
        failed, applied = fixes.apply_batch(conn, CIPHER, RUN, ISPB, batch)
    assert (failed.outcome, applied.outcome) == ("FAILED", "APPLIED")
    assert constraint in (failed.error or "")


def test_a_trigger_of_theirs_that_writes_something_else_fails_the_fix(conn: Connection) -> None:
    conn.execute(
        "create function core.loud() returns trigger language plpgsql as "
        "$$ begin new.nome := upper(new.nome); return new; end $$"
    )
    conn.execute(
        "create trigger loud before insert or update on core.pix_keys for each row execute function core.loud()"
    )
    result = created(conn, entry(1))
    assert (result.outcome, "kept_as_written" in (result.error or "")) == ("FAILED", True)
    assert value(conn, "select count(*) from core.pix_keys") == 0


@pytest.mark.parametrize(
    "change",
    [
        "update entries set entry_id = gen_random_uuid()",
        "update entries set participant_ispb = '87654321'",
        "update entries set cid = 'x'",
    ],
)
def test_what_the_view_cannot_write_is_refused(conn: Connection, change: str) -> None:
    insert(conn, entry(1))
    with pytest.raises(psycopg.errors.CheckViolation):
        conn.execute(change.encode())


def test_a_row_without_a_cid_is_in_no_set_until_dict_completes_it(conn: Connection, theirs: Database) -> None:
    for number, (request, cid) in enumerate([(None, None), (A_REQUEST, None), (A_REQUEST, "not a CID")]):
        conn.execute(THEIR_KEY, [f"+55119000{number}", request, cid, BLOCKED if number == 0 else 1])
    conn.commit()
    assert value(conn, "select array_agg(distinct status) from entries") == ["PENDING"]
    assert read_snapshot(theirs, ISPB).key_types["PHONE"].entries == 0

    target = entry(1, key="+551190000", key_type="PHONE")
    result = created(conn, target)

    assert result.outcome == "APPLIED"
    assert stored(conn, result.entry_id or UUID(int=0)) == target
    assert value(conn, "select count(*) from core.pix_keys") == 3, "no row beside the one that waited"
    assert value(conn, "select situacao from core.pix_keys where pix_key = '+551190000'") == BLOCKED
    assert value(conn, "select count(*) from entries where status = 'ACTIVE'") == 1


@pytest.mark.parametrize(
    ("request_id", "cid", "status"),
    [
        (A_REQUEST, "a" * 64, "ACTIVE"),
        (A_REQUEST.replace("-", "").upper(), "A1" * 32, "ACTIVE"),
        (A_REQUEST, "g" + "a" * 63, "PENDING"),
        (A_REQUEST, "a" * 63, "PENDING"),
        (A_REQUEST, "", "PENDING"),
        (A_REQUEST[:-1], "a" * 64, "PENDING"),
        (A_REQUEST[:-1] + "g", "a" * 64, "PENDING"),
        ("-" * 36, "a" * 64, "PENDING"),
    ],
)
def test_text_that_is_no_cid_or_no_request_id_is_none(conn: Connection, request_id: str, cid: str, status: str) -> None:
    conn.execute(THEIR_KEY, ["+551190000", request_id, cid, 1])
    [(read, *held)] = rows(conn, "select status, request_id, cid from entries")
    assert read == status
    assert (None not in held) == (status == "ACTIVE")


def test_their_own_writes_are_told_to_the_ledger(conn: Connection) -> None:
    cid, other = entry(1).cid().hex(), entry(2).cid().hex()
    conn.execute(THEIR_KEY, ["+551190001", A_REQUEST, cid.upper(), 1])
    conn.execute("update core.pix_keys set nome = 'Bia'")
    conn.execute("update core.pix_keys set cid = %s", [other])
    conn.execute("update core.pix_keys set situacao = %s", [BLOCKED])
    conn.execute("update core.pix_keys set situacao = 9")
    conn.execute("update core.pix_keys set situacao = 1")
    conn.execute("delete from core.pix_keys")
    conn.execute(THEIR_KEY, ["+551190001", A_REQUEST, cid, 1])
    conn.execute("truncate core.pix_keys")
    [entry_id, last_id] = sorted({row[2] for row in rows(conn, EVENTS)})
    assert rows(conn, EVENTS) == [
        (event, "PHONE", of, bytes.fromhex(which))
        for event, of, which in [
            ("ADDED", entry_id, cid),
            ("REMOVED", entry_id, cid),
            ("ADDED", entry_id, other),
            ("REMOVED", entry_id, other),
            ("ADDED", entry_id, other),
            ("REMOVED", entry_id, other),
            ("ADDED", last_id, cid),
            ("REMOVED", last_id, cid),
        ]
    ]


def test_the_replica_role_skips_no_trigger_of_theirs(conn: Connection) -> None:
    conn.execute("set session_replication_role = replica")
    conn.execute(THEIR_KEY, ["+551190001", A_REQUEST, entry(1).cid().hex(), 1])
    assert len(rows(conn, EVENTS)) == 1


def test_sets_are_carried_forward_over_their_writes(theirs: Database) -> None:
    with theirs.connect() as conn:
        insert(conn, entry(1))
    whole = read_snapshot(theirs, ISPB)
    known = {
        name: Baseline(held, whole.taken_at, whole.pg_snapshot, whole.cluster) for name, held in whole.key_types.items()
    }
    with theirs.connect() as conn:
        conn.execute(THEIR_KEY, ["+551190001", A_REQUEST, entry(2).cid().hex(), 1])
        conn.execute("update core.pix_keys set situacao = 9 where id = 1")
    now = carry_forward(theirs, ISPB, known)
    assert now.key_types == read_snapshot(theirs, ISPB).key_types
    assert (now.key_types["CPF"].entries, now.key_types["PHONE"].entries) == (0, 1)

    with theirs.connect() as conn:
        conn.execute("alter table core.pix_keys disable trigger record_updated_cids")
        [found] = findings(conn)
        assert found.startswith("the trigger record_updated_cids is missing or not in force")
        assert found.endswith("`vsync key-table attach` the table again")
    with pytest.raises(LedgerUnusableError, match="triggers"):
        carry_forward(theirs, ISPB, known)
    with theirs.connect() as conn:
        attach(conn, parse(MAPPING))
        assert list(findings(conn)) == []
    assert carry_forward(theirs, ISPB, known).key_types == now.key_types


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("drop column nome", "it has no column nome for owner_name: name another in .columns., or add one .text."),
        ("alter column documento type bigint using null", "documento .owner_tax_id. is bigint; leading zeros count"),
        ("alter column cid type text[] using null", "cid .cid. is text..; it has to be bytea"),
        ("alter column solicitacao type int using null", "solicitacao .request_id. is integer; it has to be uuid"),
        ("alter column aberta_em type date", "aberta_em .account_opened_at. is date; it has to be timestamptz"),
        ("alter column id type numeric", "id .entry_id. is numeric; it has to be uuid, bigint"),
        ("alter column situacao drop not null", "situacao .status. may be null"),
        ("alter column nome_fantasia set not null", "nome_fantasia .owner_trade_name. is not null, and there are"),
        ("alter column id drop identity", "id .entry_id. has no default"),
        ("alter column canal drop default", "its column canal is not null and has no default"),
        ("enable row level security", "it has row security"),
        ("add column filha int, drop column agencia", "it has no column agencia for branch"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_with_what_to_mend(database: Database, change: str, told: str) -> None:
    with database.connect() as conn:
        conn.execute(TABLE.encode())
        if "numeric" in change:
            conn.execute("alter table core.pix_keys alter column id drop identity")
        conn.execute(f"alter table core.pix_keys {change}".encode())
        with pytest.raises(KeyMappingError, match=f"core.pix_keys cannot be synced in place: .*{told}"):
            attach(conn, parse(MAPPING))
        assert value(conn, "select relkind::text from pg_class where oid = 'entries'::regclass") == "r"


def test_everything_that_is_wrong_is_told_at_once(database: Database) -> None:
    with database.connect() as conn:
        conn.execute(TABLE.encode())
        conn.execute("alter table core.pix_keys drop column nome, drop column cid")
        with pytest.raises(KeyMappingError, match=r"nome for owner_name.*; it has no column cid"):
            attach(conn, parse(MAPPING.replace('time_zone = "UTC"', "")))


@pytest.mark.parametrize(
    ("made", "told"),
    [
        ("create view core.pix_keys as select 1 as id", "it is no ordinary table"),
        ("create table core.pix_keys (id int) partition by hash (id)", "it is partitioned"),
        ("create table core.parent (id int); create table core.pix_keys () inherits (core.parent)", "inherits"),
        ("select 1", "there is no table core.pix_keys in this database"),
    ],
)
def test_what_is_no_ordinary_table_is_refused(database: Database, made: str, told: str) -> None:
    with database.connect() as conn:
        conn.execute(f"create schema core; {made}".encode())
        with pytest.raises(KeyMappingError, match=told):
            attach(conn, parse(MAPPING))


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ([("+551190001", 1), ("+551190001", 2)], "hold the same key"),
        ([("+551190001", 1), ("+551190002", 1)], "hold the same CID"),
    ],
)
def test_rows_that_are_not_unique_are_refused(database: Database, keys: list[tuple[str, int]], told: str) -> None:
    with database.connect() as conn:
        conn.execute(TABLE.encode())
        for key, number in keys:
            conn.execute(THEIR_KEY, [key, A_REQUEST, entry(number).cid().hex(), 1])
        conn.commit()
        with pytest.raises(KeyMappingError, match=f"two rows of core.pix_keys {told}"):
            attach(conn, parse(MAPPING))


def test_a_status_that_no_word_stands_for_is_refused_and_not_quoted(database: Database) -> None:
    with database.connect() as conn:
        conn.execute(TABLE.encode())
        for number in (1, 2):
            conn.execute(THEIR_KEY, [f"+55119000{number}", A_REQUEST, entry(number).cid().hex(), 770 + number])
        with pytest.raises(
            KeyMappingError, match=r"situacao of core.pix_keys has 2 values .* \[words.status\]"
        ) as told:
            attach(conn, parse(MAPPING))
    assert "771" not in str(told.value)


def test_our_own_table_gives_way_only_while_it_is_empty(database: Database) -> None:
    with database.connect() as conn:
        insert(conn, entry(1))
        conn.execute(TABLE.encode())
        with pytest.raises(RefusedError, match="only as long as it is empty"):
            attach(conn, parse(MAPPING))


def test_nothing_is_attached_while_a_sync_is_at_work(database: Database) -> None:
    with database.connect() as conn:
        conn.execute(TABLE.encode())
        assert leases.acquire(conn, Fence(ISPB, RUN), "here", 60)
    with database.connect() as conn, pytest.raises(RefusedError, match="a sync is at work"):
        attach(conn, parse(MAPPING))
    with database.connect() as conn:
        leases.release(conn, Fence(ISPB, RUN))
        attach(conn, parse(MAPPING))


def test_keys_that_were_there_before_come_into_the_ledger(database: Database) -> None:
    with database.connect() as conn:
        conn.execute(TABLE.encode())
        conn.execute(THEIR_KEY, ["+551190001", A_REQUEST, entry(1).cid().hex(), 1])
        conn.execute(THEIR_KEY, ["+551190002", None, None, 1])
        attach(conn, parse(MAPPING))
        assert [row[::3] for row in rows(conn, EVENTS)] == [("ADDED", entry(1).cid())]


def test_a_changed_mapping_is_told_to_the_ledger(conn: Connection) -> None:
    for number, status in ((1, 1), (2, BLOCKED)):
        conn.execute(THEIR_KEY, [f"+55119000{number}", A_REQUEST, entry(number).cid().hex(), status])
    conn.execute("delete from cid_events")
    changed = MAPPING.replace("ACTIVE = [1, 3]", "ACTIVE = [1, 4]").replace("DELETED = 9", "DELETED = [9, 3]")
    attach(conn, parse(changed))
    assert [row[::3] for row in rows(conn, EVENTS)] == [("REMOVED", entry(2).cid())]
    attach(conn, parse(MAPPING))
    attach(conn, parse(MAPPING))
    assert [row[::3] for row in rows(conn, EVENTS)][1:] == [("ADDED", entry(2).cid())]
    indexes = "select count(*) from pg_indexes where tablename = 'pix_keys' and indexname like 'vsync_keys_%%'"
    assert value(conn, indexes) == 4, "those of the other mapping are gone"
    assert list(findings(conn)) == []


def test_detached_it_is_theirs_as_it_was(conn: Connection) -> None:
    conn.execute(THEIR_KEY, ["+551190001", A_REQUEST, entry(1).cid().hex(), 1])
    conn.execute("delete from cid_events")

    detach(conn)

    assert [row[::3] for row in rows(conn, EVENTS)] == [("REMOVED", entry(1).cid())]
    assert value(conn, "select count(*) from core.pix_keys") == 1
    assert value(conn, "select count(*) from entries") == 0
    of_ours = "select count(*) from pg_depend d join pg_class c on c.oid = d.refobjid where c.relname = 'pix_keys'"
    assert value(conn, f"{of_ours} and d.classid = 'pg_trigger'::regclass") == 0
    assert value(conn, "select count(*) from pg_indexes where tablename = 'pix_keys'") == 1
    entry_id = insert(conn, entry(2))
    assert rows(conn, EVENTS)[1:] == [("ADDED", "CPF", entry_id, entry(2).cid())], "our own triggers are in force"
    with pytest.raises(PermanentError, match="no table is attached"):
        detach(conn)


def test_a_table_that_took_the_place_of_theirs_is_not_taken_for_it(conn: Connection) -> None:
    require_same_table(conn)
    conn.execute("alter table core.pix_keys rename to pix_keys_before")
    for _ in range(2):
        with pytest.raises(RefusedError, match="`vsync key-table attach` it again"):
            require_same_table(conn)
        conn.execute("create table core.pix_keys (like core.pix_keys_before including all)") if _ == 0 else None


def test_a_missing_index_is_found(conn: Connection) -> None:
    name = value(conn, "select indexname from pg_indexes where indexname like 'vsync_keys_active_cid_%%'")
    conn.execute(f"drop index core.{name}".encode())
    assert list(findings(conn)) == [
        f"the index {name} is missing or invalid: drop it, and `vsync key-table attach` the table again"
    ]


def test_a_trigger_of_our_own_table_that_is_out_of_force_is_found(database: Database) -> None:
    with database.connect() as conn:
        assert list(findings(conn)) == []
        conn.execute("alter table entries enable trigger record_deleted_cids")
        [found] = findings(conn)
    assert "record_deleted_cids is missing or not in force" in found


def test_rows_are_counted_and_some_cids_computed_again(conn: Connection) -> None:
    for number in range(3):
        insert(conn, entry(number))
    conn.execute("update core.pix_keys set nome = 'Outra' where id = 1")
    conn.execute(THEIR_KEY, ["+551190002", None, None, 1])
    conn.execute(THEIR_KEY, ["+551190003", None, None, 55])
    [counted] = count(conn)
    assert (counted.ispb, counted.active, counted.pending, counted.unknown) == (ISPB, 3, 1, 1)
    assert sample(conn) == (3, 1)


def test_later_migrations_apply_to_a_table_that_is_attached(
    empty_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = migrations.migrations()
    monkeypatch.setattr(migrations, "migrations", lambda: [each for each in known if each.name <= "0025_key_table"])
    migrations.migrate(empty_database)
    attach_theirs(empty_database)
    monkeypatch.undo()
    migrations.migrate(empty_database)
    with empty_database.connect() as conn:
        assert list(findings(conn)) == []


def test_the_roles_read_and_write_through_the_view_alone(theirs: Database) -> None:
    with login_with(theirs, roles.APPLICATION) as login:
        with login.connect() as conn:
            assert created(conn, entry(1)).outcome == "APPLIED"
            assert updated(conn, entry(1, owner_name="Bia")).outcome == "APPLIED"
        for refused in (
            "select from core.pix_keys",
            "delete from entries",
            "select from entries_set_aside",
            "select write_updated_entry()",
            "alter table core.pix_keys disable trigger record_inserted_cids",
        ):
            with pytest.raises(PermanentError, match="42501"), login.connect() as conn:
                conn.execute(refused.encode())


def test_their_owner_and_ours_need_not_be_one(database: Database) -> None:
    """A superuser attaches; VSYNC's owner gets no more than the view needs, and owns what was made."""
    ours, bank = "test_vsync_owner", "test_bank_owner"
    with database.connect() as conn:
        conn.execute(TABLE.encode())
        for name in (ours, bank):
            conn.execute(f"create role {name}".encode())
        try:
            conn.execute(f"grant create on schema public to {ours}".encode())
            for (table,) in rows(conn, "select tablename from pg_tables where schemaname = 'public'"):
                conn.execute(f"alter table {table} owner to {ours}".encode())
            for (name,) in rows(conn, "select oid::regprocedure::text from pg_proc where proname like 'record_%%'"):
                conn.execute(f"alter function {name} owner to {ours}".encode())
            conn.execute(f"alter table core.pix_keys owner to {bank}".encode())
            attach(conn, parse(MAPPING))
            owners = (
                "select array_agg(distinct proowner::regrole::text) from pg_proc where proname ~ '^(record|write)_'"
            )
            assert value(conn, owners) == [ours]
            conn.execute(f"set local role {ours}".encode())
            insert(conn, entry(1))
            conn.execute("update entries set owner_name = 'Bia'")
            conn.execute("reset role")
            granted = (
                "select array_agg(distinct privilege_type::text order by privilege_type::text) "
                "from information_schema.role_table_grants where table_name = 'pix_keys' and grantee = %s"
            )
            assert value(conn, granted, [ours]) == ["SELECT"], "and columns to write"
            assert len(rows(conn, EVENTS)) == 1
        finally:
            conn.rollback()
