"""Each entry that comes by its CID is hashed again, by what it says to the letter."""

import unicodedata
from dataclasses import replace
from typing import Any

import pytest

from vsync_dagster.dict_api.lookup import look_up
from vsync_dagster.reconcile.look_up import Found
from vsync_dagster_tests.dict_api.parts import Line, entry, entry_answer
from vsync_dagster_tests.dict_api.server import ScriptedServer

NAME = unicodedata.normalize("NFC", "José da Conceição")
HELD = replace(
    entry(2),
    key_type="CNPJ",
    key="12abC34501De35",
    account_number="00a7K",
    owner_name=NAME,
    owner_trade_name="Bar do Zé",
)


@pytest.mark.parametrize(
    "changes",
    [
        {"key_type": "CPF"},
        {"key": "12ABC34501DE35"},
        {"owner_tax_id": "99999999999"},
        {"owner_name": unicodedata.normalize("NFD", NAME)},
        {"owner_name": NAME.encode().decode("latin-1")},
        {"owner_name": f"{NAME} "},
        {"owner_trade_name": None},
        {"branch": "1"},
        {"account_number": "00A7K"},
        {"account_type": "OTHR"},
        {"participant": "99999999"},
    ],
)
def test_another_letter_is_a_mismatch(server: ScriptedServer, line: Line, changes: dict[str, Any]) -> None:
    other = replace(HELD, **changes)
    assert other != HELD
    server.script(entry_answer(other, cid=HELD.cid()), entry_answer(HELD))

    mismatch, found = (next(iter(look_up(line.client(), [HELD.cid()]))) for _ in range(2))

    assert (mismatch.outcome, mismatch.entry) == (Found.MISMATCH, None)
    assert (found.outcome, found.entry) == (Found.FOUND, HELD)
