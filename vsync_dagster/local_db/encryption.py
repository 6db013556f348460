"""Encryption of entries that are kept outside of `entries`: AES-256-GCM, each ciphertext bound to its row.

Several keys may be known. The first one encrypts, all of them decrypt: keys are rotated by putting a new one first,
encrypting again what the others encrypted (`local_db.rotation`), and then leaving those out.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from json.encoder import encode_basestring_ascii as _json

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from vsync_dagster.reconcile.errors import PermanentError, RefusedError

KEY_BYTES = 32
_NONCE_BYTES = 12  # what AES-GCM is made for (NIST SP 800-38D, 5.2.1.1)


class UnknownKeyError(PermanentError):
    """A row was encrypted with a key that is not known here."""

    def __init__(self, table: str, key_id: str) -> None:
        super().__init__(f"a row of {table} was encrypted with key {key_id}: add that key to VSYNC_ENCRYPTION_KEYS")


class AlteredCiphertextError(RefusedError):
    """A ciphertext was altered, or belongs to another row."""

    def __init__(self, table: str) -> None:
        super().__init__(
            f"a row of {table} does not decrypt: it was altered, or is another row's; nothing of it is used"
        )


@dataclass(frozen=True, slots=True)
class EncryptedTable:
    """A table with the columns `key_id` and `ciphertext`, and the columns that a ciphertext is bound to."""

    name: str
    identity: tuple[str, ...]


LOOKED_UP_ENTRIES = EncryptedTable("looked_up_entries", ("participant_ispb", "cid"))
FIX_DETAILS = EncryptedTable("fix_details", ("run_id", "participant_ispb", "kind", "cid"))
ENCRYPTED_TABLES = (LOOKED_UP_ENTRIES, FIX_DETAILS)


@dataclass(frozen=True, slots=True)
class Encrypted:
    """What is stored: the key's id, and nonce and ciphertext in one."""

    key_id: str
    ciphertext: bytes


class Cipher:
    """Encrypts with the first of some keys of 32 bytes, and decrypts with any. Has no repr that shows one."""

    def __init__(self, keys: Sequence[bytes], random_bytes: Callable[[int], bytes] = os.urandom) -> None:
        self._keys = {key_id(key): AESGCM(key) for key in keys}
        self.newest = key_id(keys[0])
        self._random_bytes = random_bytes

    @property
    def key_ids(self) -> list[str]:
        """The ids of the keys, which tell nothing of the keys themselves."""
        return list(self._keys)

    def encrypt(self, table: EncryptedTable, row: Sequence[str | bytes], plaintext: bytes) -> Encrypted:
        """Encrypt for one row, named by the values of the table's identity columns."""
        nonce = self._random_bytes(_NONCE_BYTES)
        sealed = self._keys[self.newest].encrypt(nonce, plaintext, _bound_to(table, row))
        return Encrypted(self.newest, nonce + sealed)

    def decrypt(self, table: EncryptedTable, row: Sequence[str | bytes], encrypted: Encrypted) -> bytes:
        """Decrypt what was encrypted for that row.

        Raises:
            UnknownKeyError: the key is not one of these.
            AlteredCiphertextError: it is not what was encrypted, or not for that row.
        """
        if encrypted.key_id not in self._keys:
            raise UnknownKeyError(table.name, encrypted.key_id)
        nonce, sealed = encrypted.ciphertext[:_NONCE_BYTES], encrypted.ciphertext[_NONCE_BYTES:]
        try:
            return self._keys[encrypted.key_id].decrypt(nonce, sealed, _bound_to(table, row))
        except (InvalidTag, ValueError):
            raise AlteredCiphertextError(table.name) from None


def key_id(key: bytes) -> str:
    """Return a name for a key that is safe to store and show."""
    return sha256(b"vsync key id\0" + key).hexdigest()[:16]


def _bound_to(table: EncryptedTable, row: Sequence[str | bytes]) -> bytes:
    # The JSON of a list of texts, as `json.dumps` has it, without what makes that slow for so short a one.
    values = [_json(value.hex() if isinstance(value, bytes) else value) for value in (table.name, *row)]
    return f"[{', '.join(values)}]".encode()
