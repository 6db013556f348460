"""Our entries at the moment of a snapshot, as a comparison asks for them."""

import pytest

from vsync_dagster.local_db import ledger
from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.snapshot import read_snapshot
from vsync_dagster.reconcile.discrepancies import LOCAL_SCHEMA
from vsync_dagster.sync.local_sets import OurEntries
from vsync_dagster_tests.local_db.parts import ISPB, insert_all, make_entry


def test_each_entry_comes_once_however_it_is_asked_for(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "_CHUNK", 7)
    known = [make_entry(number) for number in range(40)]
    with database.connect() as conn:
        ids = [entry_id.bytes for entry_id in insert_all(conn, known)]
    ours = OurEntries(database, ISPB, read_snapshot(database, ISPB).pg_snapshot)
    cids = [entry.cid() for entry in known]
    with database.connect() as conn:
        conn.execute("delete from entries where key = %s", [known[0].key])

    found = ours.rows([*cids[:30], bytes(32)], [*ids[20:36], bytes(16)])

    assert found.schema == LOCAL_SCHEMA
    assert found.rows() == sorted([("CPF", ids[n], cids[n]) for n in range(36)], key=lambda row: row[2])
    assert ours.rows((), ()).is_empty()
    assert ours.among([cids[0], cids[39], bytes(32)]) == {cids[0], cids[39]}
