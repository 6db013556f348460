from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from vsync_dagster.reconcile.entry import Entry
from vsync_dagster.reconcile.validation import violations

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
        ("PHONE", "+5511987654321"),
        ("EMAIL", "joao.silva@example.com.br"),
        ("EMAIL", "a&b%c@example.com"),  # legal in DICT API 1
        ("EVP", "123e4567-e89b-12d3-a456-426655440000"),
        ("NEW_TYPE", "anything"),
    ],
)
def test_valid_keys_pass(key_type: str, key: str) -> None:
    assert violations(replace(PERSON, key_type=key_type, key=key)) == []


@pytest.mark.parametrize(
    ("key_type", "key"),
    [
        ("CPF", "1112223330"),
        ("CPF", "11122233300\n"),
        ("CNPJ", "12abc34501de35"),
        ("PHONE", "5511987654321"),
        ("PHONE", "+0511987654321"),
        ("EMAIL", "João@example.com"),
        ("EMAIL", "JOAO@EXAMPLE.COM"),
        ("EMAIL", "a" * 70 + "@exa.com"),
        ("EVP", "123E4567-E89B-12D3-A456-426655440000"),
        ("EVP", "123e4567e89b12d3a456426655440000"),
        ("NEW_TYPE", ""),
        ("NEW_TYPE", "k" * 78),
    ],
)
def test_other_keys_do_not(key_type: str, key: str) -> None:
    assert violations(replace(PERSON, key_type=key_type, key=key)) == ["key"]


@pytest.mark.parametrize("entry", [PERSON, COMPANY, replace(PERSON, branch=None), replace(PERSON, branch="")])
def test_valid_entries_pass(entry: Entry) -> None:
    assert violations(entry) == []


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("participant", "1234567"),
        ("branch", "00001"),
        ("account_number", ""),
        ("account_number", "12345678901234567890-1"),
        ("account_type", "CONTA"),
        ("owner_type", "ROBOT"),
        ("owner_tax_id", "123"),
        ("owner_name", "João & Maria"),  # only companies have one
        ("owner_name", "J" * 151),
        ("owner_trade_name", "T" * 101),
    ],
)
def test_each_attribute_has_its_rule(attribute: str, value: str) -> None:
    change: dict[str, Any] = {attribute: value}

    assert violations(replace(PERSON, **change)) == [attribute]


def test_what_is_wrong_is_named_without_its_value() -> None:
    broken = replace(PERSON, key="segredo", owner_name="S3gredo")

    assert violations(broken) == ["key", "owner_name"]
