"""Whole syncs of a key table of another shape, in place, as a login that has the role of the application."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from vsync_dagster.local_db import review, roles
from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.key_table.attach import attach
from vsync_dagster.local_db.key_table.mapping import parse
from vsync_dagster.local_db.reports import Report
from vsync_dagster.reconcile.cid import EntryAttributes, compute_cid
from vsync_dagster.simulator.drift import drift
from vsync_dagster.simulator.population import generate, lettered
from vsync_dagster_tests.logins import login_with
from vsync_dagster_tests.their_table import BLOCKED, MAPPING, attach_theirs
from vsync_dagster_tests.world import ISPB, World, running_world

_THEIRS = """
select case tipo when 'TELEFONE' then 'PHONE' when 'ALEATORIA' then 'EVP' else tipo end, pix_key, documento, nome,
    nome_fantasia, '12345678', agencia, conta, case tipo_conta when 'CORRENTE' then 'CACC' when 'PAGAMENTO' then 'TRAN'
    when 'SALARIO' then 'SLRY' else 'SVGS' end, solicitacao::uuid, decode(cid, 'hex')
from core.pix_keys where situacao in (1, 3)
"""
_WITHOUT_CIDS = "update core.pix_keys set cid = null, solicitacao = null"
_THEIRS_ALONE = "select id, canal, limite, cor from core.pix_keys where id <= 60 order by id"


@pytest.fixture
def world(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A participant whose keys are in its own table, and a DICT."""
    attach_theirs(database)
    with running_world(database, tmp_path, monkeypatch) as running:
        yield running


def held_in_theirs(world: World) -> set[bytes]:
    """The CIDs of their active rows, each computed here from their own columns and equal to the one beside them."""
    held = set()
    for row in world.sql(_THEIRS):
        assert compute_cid(EntryAttributes(*row[:9]), row[9]) == row[10]
        held.add(row[10])
    return held


def computed_from(report: Report) -> set[str]:
    return {told["computed_from"] for told in report.key_types.values()}


def test_their_table_is_repaired_and_proved_in_place(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.populate(60)
    world.sql("update core.pix_keys set canal = 'BRANCH', limite = id, cor = 'azul', situacao = %s", BLOCKED)
    theirs_alone = world.sql(_THEIRS_ALONE)
    with world.database.connect() as connection:
        drift(world.directory, connection, ISPB, creates=3, updates=4, deletes=2, local_tampers=2)
    world.settle()

    with login_with(world.database, roles.APPLICATION) as login:
        monkeypatch.setenv("VSYNC_DATABASE_URL", login.url)
        full = world.sync("FULL")
        again = world.sync()

        assert (full.status, full.entries_created, full.entries_updated) == ("COMPLETED", 3, 6)
        assert (full.entries_deleted, full.verified) == (2, True)
        under_review = held_in_theirs(world) - world.cids_at_dict()
        assert len(under_review) == 2
        assert world.cids_at_dict() <= held_in_theirs(world)
        assert world.sql(_THEIRS_ALONE) == theirs_alone, "what VSYNC has no name for is as it was"
        assert world.sql("select canal, limite, situacao from core.pix_keys where id > 60") == [("APP", 1000, 1)] * 3
        assert {status for (status,) in world.sql("select situacao from core.pix_keys where id <= 60")} == {BLOCKED}
        assert (again.status, computed_from(again)) == ("COMPLETED", {"LEDGER"})
        assert (again.discrepancies, again.entries_created, again.entries_updated) == (0, 0, 0)

        # Their own systems go on, in their own words; DICT hears of nothing.
        world.sql("delete from core.pix_keys where pix_key = %s", world.key_of("EVP"))
        world.sql("update core.pix_keys set situacao = 9 where pix_key = %s", world.key_of("CPF"))
        world.settle()
        third = world.sync()

    assert (third.status, third.missing_local, computed_from(third)) == ("COMPLETED", 2, {"LEDGER"})
    assert world.calls("createCidSetFile") == 5, "of the FULL sync"
    assert world.cids_at_dict() <= held_in_theirs(world)


def test_a_reviewed_key_is_deleted_in_their_words(world: World) -> None:
    world.populate(20)
    drift(world.directory, None, ISPB, deletes=1)
    world.settle()
    world.sync("FULL")
    with world.database.connect() as connection:
        [item] = review.open_items(connection)
    decide = "select review_decide(%s, 'CONFIRM_DELETION', 'gone at DICT', null, null)"
    with login_with(world.database, roles.COMPLIANCE) as one, login_with(world.database, roles.COMPLIANCE) as other:
        with one.connect() as connection:
            assert connection.execute(decide.encode(), [item.id]).fetchone() == ("DONE",)
        with other.connect() as connection:
            assert connection.execute("select review_approve(%s, 'agreed')", [item.id]).fetchone() == ("DONE",)

    assert world.sql("select id, situacao from core.pix_keys where situacao <> 1") == [(item.entry_id.int, 9)]
    report = world.sync()
    assert (report.status, report.missing_bacen, computed_from(report)) == ("COMPLETED", 0, {"LEDGER"})
    assert held_in_theirs(world) == world.cids_at_dict()


def test_a_change_of_a_column_without_a_name_here_does_not_withdraw_an_item(world: World) -> None:
    world.populate(20)
    drift(world.directory, None, ISPB, deletes=1)
    world.settle()
    world.sync("FULL")
    with world.database.connect() as connection:
        [item] = review.open_items(connection)
    world.sql("update core.pix_keys set cor = 'azul' where id = %s", item.entry_id.int)
    decide = "select review_decide(%s, 'INVESTIGATE', 'why', null, 'me')"
    assert world.sql(decide, item.id) == [("DONE",)], "what VSYNC has no name for is no part of what was put up"
    world.sql("update core.pix_keys set nome = 'Outra' where id = %s", item.entry_id.int)
    assert world.sql(decide, item.id) == [("MOVED",)]


def test_a_table_without_cids_is_completed_by_the_first_sync(world: World) -> None:
    world.populate(30)
    world.sql(_WITHOUT_CIDS)
    world.sql("update core.pix_keys set canal = 'BRANCH', nome = 'Ana'")
    world.settle()

    report = world.sync("FULL")

    assert (report.status, report.entries_created, report.verified) == ("COMPLETED", 30, True)
    assert world.sql("select count(*), min(canal) from core.pix_keys") == [(30, "BRANCH")], "no row beside theirs"
    assert held_in_theirs(world) == world.cids_at_dict()


def test_a_table_that_was_replaced_is_not_synced(world: World) -> None:
    world.populate(10)
    assert world.sync().status == "COMPLETED"
    world.sql("alter table core.pix_keys rename to pix_keys_before")

    report = world.sync()

    assert (report.status, "`vsync key-table attach` it again" in (report.error_message or "")) == ("FAILED", True)


def test_a_table_of_a_participant_with_letters_is_repaired_in_place(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The type OTHR has no word in their enum: that account cannot be held there, and the others can."""
    attach_theirs(database, MAPPING.replace(ISPB, "abCD1234"))
    with running_world(database, tmp_path, monkeypatch, ispb="abCD1234") as world:
        for entry in lettered(generate("abCD1234", 10, 1)):
            world.directory.create_entry(entry)
        world.settle()

        report = world.sync("FULL")

        assert (report.participant_ispb, report.entries_created, report.fixes_failed) == ("abCD1234", 8, 2)
        assert world.sql("select count(*) from entries where participant_ispb = 'abCD1234'") == [(8,)]
        assert world.cids_here() < world.cids_at_dict()
        world.sql("alter type core.account_kind add value 'OUTRA'")
        with database.connect() as connection:
            attach(connection, parse(MAPPING.replace(ISPB, "abCD1234").replace("SVGS =", 'OTHR = "OUTRA"\nSVGS =')))
        again = world.sync("FULL")

        assert (again.status, again.entries_created, again.verified) == ("COMPLETED", 2, True)
        assert world.cids_here() == world.cids_at_dict()
