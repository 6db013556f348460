import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsync_dagster.local_db.encryption import (
    FIX_DETAILS,
    LOOKED_UP_ENTRIES,
    AlteredCiphertextError,
    Cipher,
    Encrypted,
    UnknownKeyError,
    key_id,
)

OLD, NEW = b"\x01" * 32, b"\x02" * 32
ROW = ("12345678", b"\xaa" * 32)
SECRET = "João da Silva".encode()


@given(st.binary(max_size=300))
def test_what_was_encrypted_comes_back(plaintext: bytes) -> None:
    cipher = Cipher([NEW, OLD])
    assert cipher.decrypt(LOOKED_UP_ENTRIES, ROW, cipher.encrypt(LOOKED_UP_ENTRIES, ROW, plaintext)) == plaintext


def test_the_first_key_encrypts_and_all_decrypt() -> None:
    kept = Cipher([OLD]).encrypt(LOOKED_UP_ENTRIES, ROW, SECRET)
    both = Cipher([NEW, OLD])
    assert both.decrypt(LOOKED_UP_ENTRIES, ROW, kept) == SECRET
    assert both.encrypt(LOOKED_UP_ENTRIES, ROW, SECRET).key_id == both.newest == key_id(NEW)
    with pytest.raises(UnknownKeyError, match=f"{key_id(OLD)}.*VSYNC_ENCRYPTION_KEYS"):
        Cipher([NEW]).decrypt(LOOKED_UP_ENTRIES, ROW, kept)


def test_the_same_twice_is_not_seen_to_be_the_same() -> None:
    cipher = Cipher([NEW])
    kept = [cipher.encrypt(LOOKED_UP_ENTRIES, ROW, SECRET).ciphertext for _ in range(2)]
    assert kept[0] != kept[1]


@pytest.mark.parametrize("place", [0, 12, -1])
def test_an_altered_ciphertext_is_refused(place: int) -> None:
    cipher = Cipher([NEW])
    kept = cipher.encrypt(LOOKED_UP_ENTRIES, ROW, SECRET)
    altered = bytearray(kept.ciphertext)
    altered[place] ^= 1
    for ciphertext in (bytes(altered), kept.ciphertext[:5], b"", kept.ciphertext + b"x"):
        with pytest.raises(AlteredCiphertextError, match="looked_up_entries"):
            cipher.decrypt(LOOKED_UP_ENTRIES, ROW, Encrypted(kept.key_id, ciphertext))


def test_a_ciphertext_opens_in_its_own_row_alone() -> None:
    cipher = Cipher([NEW])
    kept = cipher.encrypt(LOOKED_UP_ENTRIES, ROW, SECRET)
    for table, row in (
        (FIX_DETAILS, ROW),
        (LOOKED_UP_ENTRIES, ("87654321", ROW[1])),
        (LOOKED_UP_ENTRIES, ("12345678", b"\xab" * 32)),
        (LOOKED_UP_ENTRIES, (ROW[0] + ROW[1].hex(),)),
    ):
        with pytest.raises(AlteredCiphertextError):
            cipher.decrypt(table, row, kept)


def test_no_key_is_shown() -> None:
    cipher = Cipher([NEW])
    assert NEW.hex() not in repr(cipher) + repr(vars(cipher)) + key_id(NEW)
    assert repr(NEW) not in repr(vars(cipher))
