"""Rows of an attached key table: written in its words, read in ours, and what it cannot keep."""

from dataclasses import replace
from uuid import UUID

import psycopg
import pytest

from vsync_dagster.local_db import fix_details, fixes, roles
from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.local_db.entries import local_entries_for_keys
from vsync_dagster.local_db.fixes import CREATE, UPDATE, Fix, FixResult
from vsync_dagster.local_db.key_table.attach import attach
from vsync_dagster.local_db.key_table.columns import OUR_COLUMNS
from vsync_dagster.local_db.key_table.mapping import parse
from vsync_dagster.local_db.snapshot import read_snapshot
from vsync_dagster.reconcile.entry import Entry
from vsync_dagster.reconcile.errors import PermanentError
from vsync_dagster_tests.local_db.key_table.parts import A_REQUEST, ISPB, THEIR_KEY, entry
from vsync_dagster_tests.local_db.parts import CIPHER, RUN, insert, rows, stored, value
from vsync_dagster_tests.logins import login_with
from vsync_dagster_tests.their_table import BLOCKED, MAPPING, TABLE


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

    target = entry(1, key="+551190000", key_type="PHONE", owner_tax_id="52998224725")
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


def test_a_row_without_a_request_id_of_another_person_is_never_completed(conn: Connection, theirs: Database) -> None:
    conn.execute(THEIR_KEY, ["+5511900001", None, None, 1])
    conn.commit()
    before = rows(conn, "select * from core.pix_keys")
    created(conn, entry(1, key="+5511900001", key_type="PHONE", owner_tax_id="11144477735"))
    assert rows(conn, "select * from core.pix_keys where documento = '52998224725'") == before
