from dataclasses import replace

import pytest

from vsync_dagster.local_db import lookups
from vsync_dagster.local_db.database import Connection
from vsync_dagster.local_db.encryption import AlteredCiphertextError, Cipher, UnknownKeyError
from vsync_dagster_tests.local_db.parts import CIPHER, ISPB, OTHER_ISPB, make_entry, value

FULL = make_entry(1, owner_trade_name="Açaí & Cia", branch="0000")
SPARSE = make_entry(2, branch=None, owner_trade_name=None)
EMPTY = make_entry(3, branch="", owner_trade_name="")


def test_entries_come_back_as_they_were(conn: Connection) -> None:
    entries = [FULL, SPARSE, EMPTY]
    lookups.stage(conn, CIPHER, entries)
    cids = [entry.cid() for entry in entries]
    assert lookups.staged(conn, CIPHER, ISPB, [*cids, b"\x01" * 32]) == dict(zip(cids, entries, strict=True))
    assert lookups.staged(conn, CIPHER, ISPB, cids[:1]) == {cids[0]: FULL}
    assert lookups.staged(conn, CIPHER, OTHER_ISPB, cids) == {}


def test_what_is_kept_need_not_be_looked_up(conn: Connection) -> None:
    lookups.stage(conn, CIPHER, [FULL])
    asked = [FULL.cid(), SPARSE.cid()]
    assert lookups.known_cids(conn, CIPHER, ISPB, asked) == {FULL.cid()}
    assert lookups.known_cids(conn, CIPHER, OTHER_ISPB, asked) == set()


def test_a_second_time_is_the_newer_answer(conn: Connection) -> None:
    lookups.stage(conn, CIPHER, [FULL])
    conn.execute("update looked_up_entries set looked_up_at = '2000-01-01', expires_at = '2000-01-08'")
    lookups.stage(conn, CIPHER, [FULL, SPARSE])
    assert lookups.known_cids(conn, CIPHER, ISPB, [FULL.cid()]) == {FULL.cid()}
    assert value(conn, "select count(*) from looked_up_entries") == 2


def test_nothing_is_kept_in_the_clear(conn: Connection) -> None:
    lookups.stage(conn, CIPHER, [FULL])
    kept = value(conn, "select looked_up_entries::text from looked_up_entries")
    assert not [text for text in (FULL.key, FULL.owner_name, str(FULL.request_id)) if text in kept]


def test_what_expires_is_forgotten_and_looked_up_again(conn: Connection) -> None:
    lookups.stage(conn, CIPHER, [FULL, SPARSE])
    assert lookups.delete_expired(conn) == 0, "a restart finds what was paid for"
    conn.execute("update looked_up_entries set expires_at = now() where cid = %s", [FULL.cid()])
    assert lookups.known_cids(conn, CIPHER, ISPB, [FULL.cid(), SPARSE.cid()]) == {SPARSE.cid()}
    assert lookups.delete_expired(conn) == 1
    assert value(conn, "select cid from looked_up_entries") == SPARSE.cid()


def test_what_no_key_decrypts_is_looked_up_again(conn: Connection) -> None:
    lookups.stage(conn, Cipher([b"\x01" * 32]), [FULL])
    assert lookups.known_cids(conn, CIPHER, ISPB, [FULL.cid()]) == set()
    with pytest.raises(UnknownKeyError):
        lookups.staged(conn, CIPHER, ISPB, [FULL.cid()])
    lookups.stage(conn, CIPHER, [FULL])
    assert lookups.staged(conn, CIPHER, ISPB, [FULL.cid()]) == {FULL.cid(): FULL}


def test_entries_that_swapped_places_are_refused(conn: Connection) -> None:
    lookups.stage(conn, CIPHER, [FULL, SPARSE])
    conn.execute(
        "update looked_up_entries e set ciphertext = o.ciphertext from looked_up_entries o where o.cid <> e.cid"
    )
    with pytest.raises(AlteredCiphertextError, match="looked_up_entries"):
        lookups.staged(conn, CIPHER, ISPB, [FULL.cid()])


def test_what_was_applied_is_forgotten(conn: Connection) -> None:
    lookups.stage(conn, CIPHER, [FULL, SPARSE, replace(FULL, participant=OTHER_ISPB)])
    lookups.delete(conn, ISPB, [FULL.cid()])
    assert lookups.known_cids(conn, CIPHER, ISPB, [FULL.cid(), SPARSE.cid()]) == {SPARSE.cid()}
    assert value(conn, "select count(*) from looked_up_entries") == 2
