from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from vsync_dagster.reconcile.entry import Entry
from vsync_dagster.reconcile.validation import broken_rules, refusals

PERSON = Entry(
    key_type="CPF",
    key="11122233300",
    participant="12345678",
    branch="0001",
    account_number="0007654321",
    account_type="CACC",
    account_opened_at=datetime(2010, 1, 10, 3, tzinfo=UTC),
    owner_type="NATURAL_PERSON",
    owner_tax_id="11122233300",
    owner_name="João Silva",
    owner_trade_name=None,
    created_at=datetime(2019, 11, 18, 3, tzinfo=UTC),
    key_owned_since=datetime(2019, 11, 18, 3, tzinfo=UTC),
    request_id=UUID("a946d533-7f22-42a5-9a9b-e87cd55c0f4d"),
)
COMPANY = replace(
    PERSON,
    key_type="CNPJ",
    key="11222333000150",
    owner_type="LEGAL_PERSON",
    owner_tax_id="11222333000150",
    owner_name="Padaria Três Irmãos & Cia. Ltda",
    owner_trade_name="Padaria 3 Irmãos",
)


@pytest.mark.parametrize(
    ("key_type", "key"),
    [
        ("CPF", "00000000000"),  # check digits are not ours to judge
        ("CNPJ", "00000000000000"),
        ("CNPJ", "12ABC34501DE35"),  # letters, from July 2026
        ("CNPJ", "12abc34501de35"),  # 2.12.1 has them in either case
        ("PHONE", "+5511987654321"),
        ("EMAIL", "joao.silva@example.com.br"),
        ("EVP", "123e4567-e89b-12d3-a456-426655440000"),
        ("NEW_TYPE", "anything"),
    ],
)
def test_valid_keys_break_no_rule(key_type: str, key: str) -> None:
    entry = replace(PERSON, key_type=key_type, key=key)
    assert (broken_rules(entry), refusals(entry, key_type)) == ([], [])


@pytest.mark.parametrize(
    ("key_type", "key"),
    [
        ("CPF", "1112223330"),
        ("CNPJ", "12ABC34501DE3"),
        ("CNPJ", "12ABC34501DÉ35"),
        ("PHONE", "5511987654321"),
        ("PHONE", "+0511987654321"),
        ("EMAIL", "a&b@example.com"),  # legal until 2.6.0
        ("EMAIL", "a%b@example.com"),
        ("EMAIL", "João@example.com"),
        ("EMAIL", "JOAO@EXAMPLE.COM"),
        ("EVP", "123E4567-E89B-12D3-A456-426655440000"),
        ("EVP", "123e4567e89b12d3a456426655440000"),
    ],
)
def test_keys_of_older_rules_are_applied_and_named(key_type: str, key: str) -> None:
    entry = replace(PERSON, key_type=key_type, key=key)
    assert (broken_rules(entry), refusals(entry, key_type)) == ([f"Key.{key_type}"], [])


@pytest.mark.parametrize(
    "entry",
    [
        PERSON,
        COMPANY,
        replace(PERSON, branch=None),
        replace(PERSON, branch=""),
        replace(PERSON, account_type="OTHR"),
        replace(PERSON, account_number="0012A45x"),
        replace(PERSON, participant="ABCD1234"),
        replace(PERSON, participant="abcd1234"),
        replace(COMPANY, owner_tax_id="12abc34501DE35"),
    ],
)
def test_valid_entries_break_no_rule(entry: Entry) -> None:
    assert (broken_rules(entry), refusals(entry, entry.key_type)) == ([], [])


@pytest.mark.parametrize(
    ("attribute", "value", "rule"),
    [
        ("participant", "1234567", "BrazilianAccount.Participant"),
        ("branch", "00001", "BrazilianAccount.Branch"),  # as in the official vector of the CID
        ("branch", "A1", "BrazilianAccount.Branch"),
        ("account_number", "", "BrazilianAccount.AccountNumber"),
        ("account_number", "12345678901234567890-1", "BrazilianAccount.AccountNumber"),
        ("account_type", "CONTA", "AccountType"),
        ("owner_type", "ROBOT", "Person.Type"),
        ("owner_tax_id", "123", "Person.TaxIdNumber"),
        ("owner_name", "João A. Silva", "Person.Name"),  # dots were legal once
        ("owner_name", "João & Maria", "Person.Name"),  # only companies have one
        ("owner_name", "João Silva\u00a0", "Person.Name"),
        ("owner_name", "J" * 151, "Person.Name"),
        ("owner_trade_name", "*", "Person.TradeName"),
        ("owner_trade_name", "***", "Person.TradeName"),
        ("owner_trade_name", "T" * 101, "Person.TradeName"),
    ],
)
def test_each_attribute_has_its_rule(attribute: str, value: str, rule: str) -> None:
    change: dict[str, Any] = {attribute: value}
    entry = replace(PERSON, **change)
    assert (broken_rules(entry), refusals(entry, "CPF")) == ([rule], [])


def test_a_trade_name_may_hold_an_asterisk_beside_others() -> None:
    assert broken_rules(replace(COMPANY, owner_trade_name="* Bar *")) == []


TEXTS = (
    *("key", "participant", "branch", "account_number", "account_type"),
    *("owner_type", "owner_tax_id", "owner_name", "owner_trade_name"),
)


@pytest.mark.parametrize("unsafe", ["\0", "\n", "\x1b", "\x7f", "\x85", "\u2028", "\u2029", "\ud800"])
@pytest.mark.parametrize("attribute", TEXTS)
def test_control_characters_are_refused_everywhere(attribute: str, unsafe: str) -> None:
    change: dict[str, Any] = {attribute: f"a{unsafe}b"}
    assert refusals(replace(PERSON, **change), "CPF") == [f"{attribute} has control characters"]


@pytest.mark.parametrize("attribute", TEXTS)
def test_what_is_too_long_is_refused(attribute: str) -> None:
    longest = 77 if attribute == "key" else 255
    for length, reasons in ((longest, []), (longest + 1, [f"{attribute} is longer than {longest} characters"])):
        change: dict[str, Any] = {attribute: "a" * length}
        assert refusals(replace(PERSON, **change), "CPF") == reasons


def test_an_entry_without_a_key_is_refused() -> None:
    assert refusals(replace(PERSON, key=""), "CPF") == ["key is empty"]


def test_an_entry_of_another_set_is_refused() -> None:
    assert refusals(PERSON, "PHONE") == ["key_type is not that of the set in which the CID was found"]
    assert refusals(replace(PERSON, key_type="IRIS"), "CPF") == [
        "key_type is not that of the set in which the CID was found"
    ]


def test_what_is_wrong_is_named_without_its_value() -> None:
    broken = replace(PERSON, key="segredo\n", owner_name="S3gredo", account_number="s" * 300)

    told = " ".join([*broken_rules(broken), *refusals(broken, "CPF")])
    assert "egredo" not in told
    assert broken_rules(broken) == ["Key.CPF", "BrazilianAccount.AccountNumber", "Person.Name"]
