"""Rotating keys: in batches, resumable, and telling what it could not do."""

import pytest

from vsync_dagster.local_db import lookups
from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.encryption import AlteredCiphertextError, Cipher, key_id
from vsync_dagster.local_db.rotation import Rotated, rotate
from vsync_dagster_tests.local_db.parts import CIPHER, ISPB, make_entry, rows, value

NEW, LOST = b"\x07" * 32, b"\x09" * 32
ROTATING = Cipher([NEW, bytes(range(32))])
ENTRIES = [make_entry(number) for number in range(7)]
NOTHING = Rotated("fix_details", 0, 0, frozenset())


@pytest.fixture
def kept(database: Database) -> Database:
    with database.connect() as conn:
        lookups.stage(conn, CIPHER, ENTRIES)
    return database


def test_everything_is_encrypted_with_the_newest_key_once(kept: Database) -> None:
    assert list(rotate(kept, ROTATING, batch_rows=3)) == [Rotated("looked_up_entries", 7, 0, frozenset()), NOTHING]
    assert list(rotate(kept, ROTATING, batch_rows=3)) == [Rotated("looked_up_entries", 0, 0, frozenset()), NOTHING]
    with kept.connect() as conn:
        found = lookups.staged(conn, Cipher([NEW]), ISPB, [entry.cid() for entry in ENTRIES])
    assert found == {entry.cid(): entry for entry in ENTRIES}


def test_broken_off_it_goes_on_where_it_was(kept: Database) -> None:
    """At a row that does not decrypt; the batches before it are done."""
    last = max(entry.cid() for entry in ENTRIES)
    with kept.connect() as conn:
        conn.execute("update looked_up_entries set ciphertext = '' where cid = %s", [last])
    with pytest.raises(AlteredCiphertextError):
        list(rotate(kept, ROTATING, batch_rows=2))
    with kept.connect() as conn:
        assert dict(rows(conn, "select key_id, count(*) from looked_up_entries group by 1"))[key_id(NEW)] == 6
        conn.execute("delete from looked_up_entries where cid = %s", [last])
    assert next(rotate(kept, ROTATING)) == Rotated("looked_up_entries", 0, 0, frozenset())


def test_a_row_of_an_unknown_key_is_told_and_stops_nothing(kept: Database) -> None:
    with kept.connect() as conn:
        lookups.stage(conn, Cipher([LOST]), ENTRIES[:2])
    assert next(rotate(kept, ROTATING, batch_rows=1)) == Rotated("looked_up_entries", 5, 2, frozenset({key_id(LOST)}))


def test_a_row_written_anew_meanwhile_is_left_alone(kept: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    decrypt = Cipher.decrypt
    newer = ENTRIES[0]

    def slow(self: Cipher, *arguments: object) -> bytes:
        with kept.connect() as conn:
            lookups.stage(conn, CIPHER, [newer])
        return decrypt(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Cipher, "decrypt", slow)
    assert next(rotate(kept, ROTATING)).rows == 6
    with kept.connect() as conn:
        assert value(conn, "select key_id from looked_up_entries where cid = %s", [newer.cid()]) == CIPHER.newest
