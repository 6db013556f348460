from dataclasses import replace

from vsync_dagster.local_db import lookups
from vsync_dagster.local_db.database import Connection
from vsync_dagster_tests.local_db.parts import ISPB, OTHER_ISPB, make_entry, value

FULL = make_entry(1, owner_trade_name="Açaí & Cia", branch="0000")
SPARSE = make_entry(2, branch=None, owner_trade_name=None)
EMPTY = make_entry(3, branch="", owner_trade_name="")


def test_entries_come_back_as_they_were(conn: Connection) -> None:
    entries = [FULL, SPARSE, EMPTY]
    lookups.stage(conn, entries)
    cids = [entry.cid() for entry in entries]
    assert lookups.staged(conn, ISPB, [*cids, b"\x01" * 32]) == dict(zip(cids, entries, strict=True))
    assert lookups.staged(conn, ISPB, cids[:1]) == {cids[0]: FULL}
    assert lookups.staged(conn, OTHER_ISPB, cids) == {}


def test_what_is_kept_need_not_be_looked_up(conn: Connection) -> None:
    lookups.stage(conn, [FULL])
    asked = [FULL.cid(), SPARSE.cid()]
    assert lookups.known_cids(conn, ISPB, asked) == {FULL.cid()}
    assert lookups.known_cids(conn, OTHER_ISPB, asked) == set()


def test_a_second_time_changes_nothing(conn: Connection) -> None:
    lookups.stage(conn, [FULL])
    conn.execute("update looked_up_entries set looked_up_at = '2000-01-01'")
    lookups.stage(conn, [FULL, SPARSE])
    assert value(conn, "select min(extract(year from looked_up_at)) from looked_up_entries") == 2000
    assert value(conn, "select count(*) from looked_up_entries") == 2


def test_what_was_applied_is_forgotten(conn: Connection) -> None:
    lookups.stage(conn, [FULL, SPARSE, replace(FULL, participant=OTHER_ISPB)])
    lookups.delete(conn, ISPB, [FULL.cid()])
    assert lookups.known_cids(conn, ISPB, [FULL.cid(), SPARSE.cid()]) == {SPARSE.cid()}
    assert value(conn, "select count(*) from looked_up_entries") == 2
