"""`vsync key-table`."""

from pathlib import Path

import psycopg

from vsync_dagster.local_db import leases
from vsync_dagster.local_db.leases import Fence
from vsync_dagster_tests.cli.conftest import Command
from vsync_dagster_tests.their_table import MAPPING, TABLE
from vsync_dagster_tests.world import ISPB, World


def test_a_table_is_attached_checked_shown_and_detached(world: World, synced: Command, tmp_path: Path) -> None:
    world.sql(TABLE)
    (tmp_path / "mapping.toml").write_text(MAPPING, "utf-8")

    attached = synced("key-table", "attach", "mapping.toml")
    assert (attached.status, attached.err) == (0, "")
    assert attached.out.splitlines() == [
        "core.pix_keys is attached: entries is a view of it. Run `vsync roles apply` again",
        "0 CIDs computed again, 0 of them other than stored",
    ]
    assert synced("migrate").out == "the tables are up to date\n"
    assert synced("roles", "apply").status == 0
    world.populate(20)
    checked = synced("key-table", "check")
    assert checked.out.splitlines() == [
        "the triggers of the ledger are in force",
        f"{ISPB}: 20 active rows with a CID, 0 pending or without one",
        "20 CIDs computed again, 0 of them other than stored",
    ]
    assert synced("key-table", "show").out == MAPPING

    world.sql("alter table core.pix_keys disable trigger record_inserted_cids")
    broken = synced("key-table", "check")
    assert (broken.status, broken.out) == (2, "")
    assert broken.err == (
        "vsync: the trigger record_inserted_cids is missing or not in force, and the ledger does not tell everything: "
        "`vsync key-table attach` the table again (see docs/messages.md#key-table-changed)\n"
    )
    assert synced("key-table", "attach", "mapping.toml").status == 0
    assert synced("key-table", "check").status == 0

    assert synced("key-table", "detach", "--dry-run").out.startswith("begin;\n")
    assert synced("key-table", "detach").out.startswith("the table is detached")
    assert world.sql("select count(*) from core.pix_keys") == [(20,)]
    assert synced("key-table", "show").err == (
        "vsync: no table is attached: the keys are in the table entries of VSYNC itself"
        " (see docs/messages.md#key-table-attach)\n"
    )


def test_indexes_are_built_first_and_stay_where_the_rest_is_refused(
    world: World, synced: Command, tmp_path: Path
) -> None:
    world.sql(TABLE)
    (tmp_path / "mapping.toml").write_text(MAPPING, "utf-8")
    with world.database.connect() as connection:
        assert leases.acquire(connection, Fence(ISPB, "a-run"), "here", 3_600)
    refused = synced("key-table", "attach", "mapping.toml")
    assert refused.status == 2
    said = "a sync is at work: try again when it has ended"
    assert refused.err == f"vsync: {said} (see docs/messages.md#key-table-attach)\n"
    assert world.sql("select count(*) from pg_indexes where indexname like 'vsync_keys_%%'") == [(4,)]
    assert world.sql("select relkind::text from pg_class where oid = 'entries'::regclass") == [("r",)]


def test_the_sql_that_is_printed_is_the_sql_that_is_run(world: World, synced: Command, tmp_path: Path) -> None:
    """A DBA runs it by hand: as one text, without a client that splits or completes it."""
    world.sql(TABLE)
    (tmp_path / "mapping.toml").write_text(MAPPING, "utf-8")
    printed = synced("key-table", "attach", "mapping.toml", "--dry-run")
    assert world.sql("select relkind::text from pg_class where oid = 'entries'::regclass") == [("r",)]

    with psycopg.connect(world.database.url, autocommit=True) as dba:
        dba.execute(printed.out.encode())

    assert synced("key-table", "check").status == 0
    assert synced("key-table", "show").out == MAPPING
    world.populate(5)
    assert world.sql("select count(*) from core.pix_keys where tipo_conta is not null") == [(5,)]


def test_a_mistake_is_one_line_that_says_what_to_do(world: World, synced: Command, tmp_path: Path) -> None:
    world.sql(TABLE)
    (tmp_path / "mapping.toml").write_text(MAPPING.replace('"nome"', '"name"'), "utf-8")
    for arguments in (["mapping.toml"], ["mapping.toml", "--dry-run"]):
        ran = synced("key-table", "attach", *arguments)
        assert (ran.status, ran.out) == (2, "")
        assert ran.err == (
            "vsync: core.pix_keys cannot be synced in place: it has no column name for owner_name: name another in "
            "[columns], or add one (text); its column nome is not null and has no default, so that no key could be "
            "inserted (see docs/messages.md#key-mapping)\n"
        )
    assert synced("key-table", "attach", "nowhere.toml").status == 64
    (tmp_path / "mapping.toml").write_bytes(b"\xff")
    assert "cannot be read as UTF-8 text" in synced("key-table", "attach", "mapping.toml").err
