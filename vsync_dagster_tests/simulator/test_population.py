"""Made-up populations are valid, unique, the same again for the same seed, and as odd as real ones."""

import unicodedata
from itertools import islice

import pytest

from vsync_dagster.reconcile.keys import KeyType
from vsync_dagster.reconcile.validation import broken_rules
from vsync_dagster.simulator.errors import SimulatorStateError
from vsync_dagster.simulator.population import generate, lettered
from vsync_dagster.simulator.tax_ids import CNPJ_ROOTS, CPF_BASES, cnpj, cpf, lettered_cnpj
from vsync_dagster_tests.simulator.parts import DIRECT, OTHER

PEOPLE = list(generate(DIRECT, 5_000, 1))


def _check_digit(digits: str, weights: range | tuple[int, ...]) -> int:
    rest = sum((ord(digit) - 48) * weight for digit, weight in zip(digits, weights, strict=True)) % 11
    return 0 if rest < 2 else 11 - rest


def _is_cpf(text: str) -> bool:
    first, second = _check_digit(text[:9], range(10, 1, -1)), _check_digit(text[:10], range(11, 1, -1))
    return text[9:] == f"{first}{second}" and len(set(text)) > 1


def _is_cnpj(text: str) -> bool:
    weights = (6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2)
    return text[12:] == f"{_check_digit(text[:12], weights[1:])}{_check_digit(text[:13], weights)}"


def test_the_official_schema_holds() -> None:
    assert [rules for one in PEOPLE if (rules := broken_rules(one))] == []
    assert all(unicodedata.is_normalized("NFC", one.attributes().text()) for one in PEOPLE)


def test_keys_cids_and_request_ids_are_unique_also_between_participants_and_seeds() -> None:
    both = PEOPLE + list(generate(OTHER, 5_000, 1)) + list(generate(DIRECT, 5_000, 2))
    assert len({one.key for one in both}) == len(both)
    assert len({one.cid() for one in both}) == len(both)
    assert len({one.request_id for one in both}) == len(both)
    assert all(one.request_id.version == 4 for one in both)


def test_the_same_seed_gives_the_same_entries_and_a_shorter_run_is_their_beginning() -> None:
    assert list(generate(DIRECT, 100, 1)) == PEOPLE[:100]
    assert list(generate(DIRECT, 100, "1")) == PEOPLE[:100]
    assert list(islice(generate(DIRECT, 10_000_000, 1), 10)) == PEOPLE[:10]


def test_check_digits() -> None:
    tax_ids = {one.owner_tax_id for one in PEOPLE}
    assert all(_is_cpf(one) if len(one) == 11 else _is_cnpj(one) for one in tax_ids)
    assert all(one.key == one.owner_tax_id for one in PEOPLE if one.key_type in ("CPF", "CNPJ"))
    assert all(_is_cpf(cpf(place)) for place in (0, 111_111_109, 111_111_110, 111_111_111, CPF_BASES - 1))
    assert all(_is_cnpj(cnpj(root)) for root in (0, 1, CNPJ_ROOTS - 1))
    assert cpf(111_111_110)[:9] == "111111112"


def test_key_types_take_turns_and_can_be_chosen() -> None:
    assert [one.key_type for one in PEOPLE[:6]] == [*KeyType, "CPF"]
    assert {one.key_type for one in generate(DIRECT, 10, 1, ("PHONE", "PHONE"))} == {"PHONE"}


def test_more_keys_than_there_are_is_an_error() -> None:
    with pytest.raises(SimulatorStateError):
        next(generate(DIRECT, CNPJ_ROOTS + 1, 1, ("CNPJ",)))


def test_what_trips_real_systems_is_there() -> None:
    text = "\n".join(one.attributes().text() for one in PEOPLE)
    assert all(sign in text for sign in ("ã", "É", "'", "Villas-Bôas", " & "))
    assert any(one.branch is None for one in PEOPLE)
    assert any(one.branch and one.branch.startswith("000") for one in PEOPLE)
    assert any(one.account_number.startswith("0") for one in PEOPLE)
    assert {one.account_type for one in PEOPLE} == {"CACC", "SVGS", "TRAN", "SLRY"}
    companies = [one for one in PEOPLE if one.owner_type == "LEGAL_PERSON"]
    assert {one.owner_trade_name is None for one in companies} == {True, False}
    assert {one.owner_type for one in PEOPLE if one.key_type == "EVP"} == {"LEGAL_PERSON", "NATURAL_PERSON"}
    assert all(one.key_owned_since <= one.created_at for one in PEOPLE)
    assert any(one.key_owned_since < one.created_at for one in PEOPLE)


def test_letters_stand_in_cnpjs_and_accounts_in_either_case_and_accounts_are_of_the_new_type() -> None:
    """DICT API 2.12.1: AccountNumber, AccountType, CNPJ keys."""
    people = list(lettered(PEOPLE))
    assert [rules for one in people if (rules := broken_rules(one))] == []
    assert len({one.key.upper() for one in people}) == len(people)
    tax_ids = [one.owner_tax_id for one in people if one.owner_type == "LEGAL_PERSON"]
    keys = [one.key for one in people if one.key_type == "CNPJ"]
    accounts = [one.account_number for one in people]
    for texts in (tax_ids, keys, accounts):
        assert any(text.isdigit() for text in texts)
        assert any(text.upper() == text and not text.isdigit() for text in texts)
        assert any(text.upper() != text for text in texts)
    assert all(_is_cnpj(one.upper()) for one in tax_ids)
    assert all(one.key == one.owner_tax_id for one in people if one.key_type == "CNPJ")
    assert {one.account_type for one in people} == {"CACC", "SVGS", "TRAN", "SLRY", "OTHR"}
    assert list(lettered(PEOPLE)) == people


def test_check_digits_of_a_cnpj_with_letters() -> None:
    """The example of the tax authority (IN RFB 2.229/2024)."""
    assert _is_cnpj("12ABC34501DE35")
    assert all(_is_cnpj(lettered_cnpj(root)) for root in (0, 1, CNPJ_ROOTS - 1))
