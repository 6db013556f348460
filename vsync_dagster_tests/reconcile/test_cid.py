"""CIDs, by the official vector and by what must and must not change them (DICT API 2.12.1, Reconciliation)."""

import dataclasses
import hashlib
import hmac
import unicodedata
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsync_dagster.reconcile.cid import EntryAttributes, compute_cid, parse_cid

OFFICIAL = EntryAttributes(
    key_type="PHONE",
    key="+5511987654321",
    owner_tax_id="11122233300",
    owner_name="João Silva",
    owner_trade_name=None,
    participant="12345678",
    branch="00001",
    account_number="0007654321",
    account_type="CACC",
)
OFFICIAL_REQUEST = UUID(bytes=bytes(range(1, 17)))
OFFICIAL_CID = "28c06eb41c4dc9c3ae114831efcac7446c8747777fca8b145ecd31ff8480ae88"

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
attributes = st.builds(
    EntryAttributes,
    key_type=texts,
    key=texts,
    owner_tax_id=texts,
    owner_name=texts,
    owner_trade_name=st.none() | texts,
    participant=texts,
    branch=st.none() | texts,
    account_number=texts,
    account_type=texts,
)


def changed(**changes: str | None) -> str:
    return compute_cid(dataclasses.replace(OFFICIAL, **changes), OFFICIAL_REQUEST).hex()  # type: ignore[arg-type]


def test_the_official_vector() -> None:
    assert OFFICIAL.text() == "PHONE&+5511987654321&11122233300&João Silva&&12345678&00001&0007654321&CACC"
    assert compute_cid(OFFICIAL, OFFICIAL_REQUEST).hex() == OFFICIAL_CID


def test_the_text_is_hashed_as_it_is_never_normalised() -> None:
    assert unicodedata.is_normalized("NFC", OFFICIAL.owner_name)
    assert changed(owner_name=unicodedata.normalize("NFD", OFFICIAL.owner_name)).startswith("b76191ed")


def test_a_null_attribute_is_the_empty_string() -> None:
    assert changed(owner_trade_name="") == OFFICIAL_CID
    assert changed(branch=None) == changed(branch="")
    assert changed(branch=None) != changed(branch="0000")


@pytest.mark.parametrize(
    "changes",
    [
        {"branch": "0001"},
        {"branch": "1"},
        {"account_number": "7654321"},
        {"owner_name": "João Silva "},
        {"owner_name": "JOÃO SILVA"},
        {"owner_name": "Joao Silva"},
        {"owner_tax_id": "011122233300"},
        {"participant": "2345678"},
        {"key_type": "phone"},
        {"key": "5511987654321"},
        {"account_type": "SVGS"},
        {"owner_trade_name": "Silva"},
    ],
)
def test_leading_zeros_case_accents_and_spaces_count(changes: dict[str, str]) -> None:
    assert changed(**changes) != OFFICIAL_CID


def test_an_ampersand_is_not_escaped() -> None:
    """By the rule, written out: the text of the attributes holds the ampersand as it is."""
    text = "PHONE&+5511987654321&11122233300&João & Maria&&12345678&00001&0007654321&CACC"
    expected = hmac.new(bytes(range(1, 17)), text.encode("utf-8"), hashlib.sha256).hexdigest()

    assert changed(owner_name="João & Maria") == expected
    assert changed(owner_name="João &amp; Maria") != expected


def test_the_text_is_hashed_as_utf_8() -> None:
    """A participant that hashes Latin-1 bytes has a wrong CID for each name with an accent, and for no other."""
    for name, same in (("João Silva", False), ("Joao Silva", True)):
        changed_attributes = dataclasses.replace(OFFICIAL, owner_name=name)
        latin = hmac.new(OFFICIAL_REQUEST.bytes, changed_attributes.text().encode("latin-1"), hashlib.sha256).digest()
        assert (compute_cid(changed_attributes, OFFICIAL_REQUEST) == latin) is same


def test_the_case_of_letters_counts() -> None:
    """In the participant, the account and a CNPJ, which may hold letters (API 2.12.1)."""
    for attribute in ("participant", "account_number", "key", "owner_tax_id"):
        assert changed(**{attribute: "ABCD1234"}) != changed(**{attribute: "abcd1234"})


def test_the_hmac_is_keyed_by_the_sixteen_bytes_in_network_order() -> None:
    little_endian = UUID(bytes_le=bytes(range(1, 17)))

    assert compute_cid(OFFICIAL, little_endian).hex() != OFFICIAL_CID
    assert compute_cid(OFFICIAL, UUID("01020304-0506-0708-090a-0b0c0d0e0f10")).hex() == OFFICIAL_CID


@given(attributes)
def test_the_attributes_are_joined_by_eight_separators_in_order(drawn: EntryAttributes) -> None:
    values = [getattr(drawn, field.name) or "" for field in dataclasses.fields(drawn)]

    assert drawn.text() == "&".join(values)
    assert drawn.text().count("&") == 8 + sum(value.count("&") for value in values)


@given(attributes, st.uuids(), st.uuids())
def test_a_cid_is_32_bytes_that_depend_on_the_request(drawn: EntryAttributes, first: UUID, second: UUID) -> None:
    assert len(compute_cid(drawn, first)) == 32
    assert (compute_cid(drawn, first) == compute_cid(drawn, second)) == (first == second)


def test_attributes_have_no_repr() -> None:
    assert "Silva" not in repr(OFFICIAL)


@given(st.binary(min_size=32, max_size=32))
def test_hexadecimal_is_read_in_both_cases(cid: bytes) -> None:
    assert parse_cid(cid.hex()) == parse_cid(cid.hex().upper()) == cid


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a" * 63,
        "a" * 65,
        "g" * 64,
        " " + "a" * 63,
        "a" * 62 + "\n ",
        "0x" + "a" * 62,
        "aa " * 21 + "a",
        "\u0661" * 64,
    ],
)
def test_anything_else_is_no_cid(text: str) -> None:
    with pytest.raises(ValueError, match=r"64 hexadecimal digits|non-hexadecimal"):
        parse_cid(text)
