"""Entries as DICT answered a look-up by CID, kept encrypted until they are applied or expire."""

from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import TypeAdapter

from vsync_dagster.local_db.database import Connection
from vsync_dagster.local_db.encryption import LOOKED_UP_ENTRIES, Cipher, Encrypted
from vsync_dagster.reconcile.entry import Entry

_ENTRY = TypeAdapter(Entry)

# A second time is a newer answer, or one that can be decrypted where the first no longer could.
_STAGE = """
insert into looked_up_entries (participant_ispb, cid, key_id, ciphertext) values (%s, %s, %s, %s)
on conflict (participant_ispb, cid) do update
set key_id = excluded.key_id, ciphertext = excluded.ciphertext, looked_up_at = excluded.looked_up_at,
    expires_at = excluded.expires_at
"""
_STAGED = "select cid, key_id, ciphertext from looked_up_entries where participant_ispb = %s and cid = any(%b)"
_KNOWN = """
select cid from looked_up_entries
where participant_ispb = %s and cid = any(%b) and key_id = any(%s) and expires_at > now()
"""


def stage(conn: Connection, cipher: Cipher, entries: Iterable[Entry]) -> None:
    """Keep entries under their participant (the one that was asked about) and their CID, which is computed here."""
    with conn.cursor() as cursor:
        cursor.executemany(_STAGE, [_row(cipher, entry) for entry in entries])


def staged(conn: Connection, cipher: Cipher, ispb: str, cids: Sequence[bytes]) -> dict[bytes, Entry]:
    """Return those of the entries that are kept, by CID.

    Raises:
        UnknownKeyError, AlteredCiphertextError: one cannot be decrypted.
    """
    return {
        cid: _ENTRY.validate_json(cipher.decrypt(LOOKED_UP_ENTRIES, (ispb, cid), Encrypted(key_id, ciphertext)))
        for cid, key_id, ciphertext in conn.execute(_STAGED, [ispb, list(cids)], binary=True)
    }


def known_cids(conn: Connection, cipher: Cipher, ispb: str, cids: Sequence[bytes]) -> set[bytes]:
    """Return which CIDs need not be looked up again: kept, not expired, and encrypted with a key that is known."""
    return {cid for (cid,) in conn.execute(_KNOWN, [ispb, list(cids), cipher.key_ids])}


def delete(conn: Connection, ispb: str, cids: Sequence[bytes]) -> None:
    """Forget entries that were applied or are of no use any more."""
    conn.execute("delete from looked_up_entries where participant_ispb = %s and cid = any(%b)", [ispb, list(cids)])


def delete_expired(conn: Connection) -> int:
    """Forget the entries of all participants that nobody applied in time; return how many."""
    return conn.execute("delete from looked_up_entries where expires_at <= now()").rowcount


def _row(cipher: Cipher, entry: Entry) -> tuple[Any, ...]:
    cid = entry.cid()
    kept = cipher.encrypt(LOOKED_UP_ENTRIES, (entry.participant, cid), _ENTRY.dump_json(entry))
    return (entry.participant, cid, kept.key_id, kept.ciphertext)
