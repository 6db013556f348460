"""What is kept of each fix: exact, encrypted, never changed, and the same digest whatever the key."""

import json
from dataclasses import replace

import pytest

from vsync_dagster.local_db import fix_details
from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.local_db.encryption import AlteredCiphertextError, Cipher
from vsync_dagster.local_db.entries import local_entries_by_id
from vsync_dagster.local_db.errors import DatabaseError
from vsync_dagster.local_db.fixes import Fix, apply_batch
from vsync_dagster.local_db.rotation import rotate
from vsync_dagster_tests.local_db.parts import CIPHER, ISPB, RUN, insert, make_entry, rows, value

HELD = make_entry(1, owner_name="Antes de Tudo")
TARGET = replace(HELD, owner_name="Depois de Tudo")
CREATED, COMPLETED = make_entry(2), make_entry(3)
NEW_KEY = b"\x07" * 32


@pytest.fixture
def applied(database: Database) -> Database:
    """An update, a creation and the completion of a pending row, applied."""
    with database.connect() as conn:
        entry_id = insert(conn, HELD)
        insert(conn, replace(COMPLETED, owner_name="Em Curso"), status="PENDING")
    with database.connect() as conn:
        [row] = local_entries_by_id(conn, ISPB, [entry_id])
        batch = [Fix("UPDATE", entry_id, row.cid, row.row_version, TARGET)]
        batch += [Fix("CREATE", None, None, None, target) for target in (CREATED, COMPLETED)]
        assert {result.outcome for result in apply_batch(conn, CIPHER, RUN, ISPB, batch)} == {"APPLIED"}
    return database


def test_each_fix_is_kept_with_its_row_before_and_after(applied: Database) -> None:
    with applied.connect() as conn:
        details = {detail.cid: detail for detail in fix_details.of_run(conn, CIPHER, RUN)}
        after = dict(rows(conn, "select cid, to_jsonb(e) from entries e"))

    assert {cid: detail.after for cid, detail in details.items()} == after
    assert {detail.kind for detail in details.values()} == {"CREATE", "UPDATE"}
    before = {cid: detail.before and detail.before["owner_name"] for cid, detail in details.items()}
    assert before == {TARGET.cid(): "Antes de Tudo", CREATED.cid(): None, COMPLETED.cid(): "Em Curso"}
    updated = details[TARGET.cid()].before
    assert updated is not None
    assert (updated["key"], updated["cid"]) == (HELD.key, f"\\x{HELD.cid().hex()}")


def test_rows_that_swapped_their_keys_are_kept_as_they_were(database: Database) -> None:
    """Not as they are while they step aside for each other."""
    first, second = make_entry(1), make_entry(2)
    with database.connect() as conn:
        ids = [
            insert(conn, replace(one, key=other.key), cid=one.cid())
            for one, other in ((first, second), (second, first))
        ]
        held = {row.entry_id: row for row in local_entries_by_id(conn, ISPB, ids)}
        batch = [
            Fix("UPDATE", entry_id, target.cid(), held[entry_id].row_version, target)
            for entry_id, target in zip(ids, (first, second), strict=True)
        ]
        apply_batch(conn, CIPHER, RUN, ISPB, batch)
        details = {detail.cid: detail for detail in fix_details.of_run(conn, CIPHER, RUN)}
    before = {cid: detail.before and (detail.before["key"], detail.before["status"]) for cid, detail in details.items()}
    assert before == {first.cid(): (second.key, "ACTIVE"), second.cid(): (first.key, "ACTIVE")}
    assert [details[one.cid()].after["key"] for one in (first, second)] == [first.key, second.key]


def test_what_was_not_applied_leaves_none(database: Database) -> None:
    with database.connect() as conn:
        entry_id = insert(conn, HELD)
        moved = Fix("UPDATE", entry_id, HELD.cid(), 1, TARGET)
        failing = Fix("CREATE", None, None, None, replace(CREATED, key="x" * 78))
        results = apply_batch(conn, CIPHER, RUN, ISPB, [moved, failing])
        assert [result.outcome for result in results] == ["MOVED", "FAILED"]
        assert value(conn, "select count(*) from fix_details") == 0


def test_nothing_is_kept_in_the_clear(applied: Database) -> None:
    with applied.connect() as conn:
        kept = value(conn, "select string_agg(fix_details::text, '') from fix_details")
    clear = [HELD.key, "Antes", "Depois", str(HELD.request_id), json.dumps(HELD.owner_name).encode().hex()]
    assert not [text for text in clear if text in kept]


@pytest.mark.parametrize(
    "change",
    [
        r"update fix_details set ciphertext = '\x00'",
        "update fix_details set digest = sha256('')",
        "update fix_details set key_id = 'another', digest = sha256('')",
        "update fix_details set key_id = 'another', run_id = 'another'",
        r"set session_replication_role = replica; update fix_details set ciphertext = '\x00'",
    ],
)
def test_nothing_but_the_key_is_ever_replaced(applied: Database, change: str) -> None:
    """Not even by the table's owner, whom the tests connect as."""
    with pytest.raises(DatabaseError, match="constraint append_only"), applied.connect() as conn:
        conn.execute(change.encode())


def test_what_was_put_in_its_place_is_refused(applied: Database) -> None:
    """By somebody who has the key, and disabled the trigger: the digest tells."""
    with applied.connect() as conn:
        [detail, *_] = fix_details.of_run(conn, CIPHER, RUN)
        conn.execute("alter table fix_details disable trigger all")
        conn.execute("create temporary table was as select digest from fix_details where cid = %s", [detail.cid])
        conn.execute("delete from fix_details where cid = %s", [detail.cid])
        fix_details.keep(conn, CIPHER, RUN, [replace(detail, before={"key": "another"})])
        conn.execute("update fix_details f set digest = was.digest from was where f.cid = %s", [detail.cid])
        with pytest.raises(AlteredCiphertextError, match="fix_details"):
            list(fix_details.of_run(conn, CIPHER, RUN))


def test_a_rotation_changes_no_digest(applied: Database) -> None:
    with applied.connect() as conn:
        before = [(detail.cid, detail.before, detail.after) for detail in fix_details.of_run(conn, CIPHER, RUN)]
        digests = value(conn, "select array_agg(digest order by cid) from fix_details")

    assert [done.rows for done in rotate(applied, Cipher([NEW_KEY, bytes(range(32))]))] == [0, 3]

    with applied.connect() as conn:
        assert value(conn, "select array_agg(digest order by cid) from fix_details") == digests
        again = fix_details.of_run(conn, Cipher([NEW_KEY]), RUN)
        assert [(detail.cid, detail.before, detail.after) for detail in again] == before


def test_a_digest_cannot_be_guessed(conn: Connection) -> None:
    """The same change twice has two digests."""
    detail = fix_details.FixDetail(ISPB, "CREATE", CREATED.cid(), None, {"key": CREATED.key})
    fix_details.keep(conn, CIPHER, "run-1", [detail])
    fix_details.keep(conn, CIPHER, "run-2", [detail])
    assert value(conn, "select count(distinct digest) from fix_details") == 2


def test_kept_a_second_time_the_first_stays(conn: Connection) -> None:
    """A run applies a fix again that somebody has undone."""
    detail = fix_details.FixDetail(ISPB, "CREATE", CREATED.cid(), None, {"key": CREATED.key})
    another = replace(detail, cid=TARGET.cid(), after={"key": TARGET.key})
    fix_details.keep(conn, CIPHER, RUN, [detail])
    fix_details.keep(conn, CIPHER, RUN, [another, replace(detail, after={})])
    kept = {kept.cid: kept.after for kept in fix_details.of_run(conn, CIPHER, RUN)}
    assert kept == {detail.cid: detail.after, another.cid: another.after}
