"""What the ledger of CIDs is told of an attached key table, and whether it can be believed."""

import pytest

from vsync_dagster.local_db.carried import Baseline, LedgerUnusableError, carry_forward
from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.local_db.key_table.attach import attach
from vsync_dagster.local_db.key_table.check import findings
from vsync_dagster.local_db.key_table.mapping import parse
from vsync_dagster.local_db.snapshot import read_snapshot
from vsync_dagster_tests.local_db.key_table.parts import A_REQUEST, EVENTS, ISPB, THEIR_KEY, entry
from vsync_dagster_tests.local_db.parts import insert, rows, value
from vsync_dagster_tests.their_table import BLOCKED, MAPPING, TABLE


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
