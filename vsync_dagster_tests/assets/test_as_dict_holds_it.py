"""What DICT has signed stands above its own schema, and what it says of a difference's cause, each in a whole sync."""

import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import uuid4

import dagster as dg
import pytest

from vsync_dagster.cli.output import print_report
from vsync_dagster.reconcile.entry import Entry
from vsync_dagster.simulator.drift import drift
from vsync_dagster.simulator.population import generate
from vsync_dagster_tests.world import ISPB, World

PERSON: dict[str, Any] = {"owner_type": "NATURAL_PERSON", "owner_tax_id": "11122233300", "owner_trade_name": None}


def strangers(count: int, key_type: str) -> list[Entry]:
    """Entries that neither side holds yet."""
    return list(generate(ISPB, count, "strangers", [key_type]))


def told_dagster(world: World, asset: str) -> Mapping[str, Any]:
    """The values of the metadata of an asset's last materialization."""
    event = world.instance.get_latest_materialization_event(dg.AssetKey(asset))
    assert event is not None
    assert event.asset_materialization is not None
    return {name: value.value for name, value in event.asset_materialization.metadata.items()}


def of_older_rules() -> list[Entry]:
    """Entries as DICT took them once, or will; each breaks one rule of API 2.12.1."""
    phones, [mail], [company] = strangers(4, "PHONE"), strangers(1, "EMAIL"), strangers(1, "CNPJ")
    return [
        replace(phones[0], owner_name="João A. Silva", **PERSON),
        replace(phones[1], owner_name=unicodedata.normalize("NFD", "José da Conceição"), **PERSON),
        replace(phones[2], branch="00001"),
        replace(phones[3], account_type="ABCD"),
        replace(mail, key="a&b@example.com"),
        replace(company, owner_trade_name="*"),
    ]


def test_entries_that_break_the_schema_are_applied_proved_and_counted(
    world: World, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    world.populate(25)
    for entry in [*of_older_rules(), *strangers(1, "EVP")]:
        world.directory.create_entry(entry)
    world.settle()

    report = world.sync()

    assert (report.error_message, report.status, report.entries_created) == (None, "COMPLETED", 7)
    assert world.cids_here() == world.cids_at_dict()
    assert report.key_types["EMAIL"]["broken_rules"] == {"Key.EMAIL": 1}
    assert report.key_types["CNPJ"]["broken_rules"] == {"Person.TradeName": 1}
    phones = report.key_types["PHONE"]["broken_rules"]
    assert phones == {"AccountType": 1, "BrazilianAccount.Branch": 1, "Person.Name": 2}
    assert report.key_types["EVP"]["broken_rules"] == {}

    line = "2 entries are applied as DICT has signed them, though they break the rule Person.Name of API 2.12.1"
    assert line in caplog.text
    assert told_dagster(world, "applied_fixes")["broken_rules"]["Key.EMAIL"] == 1
    assert told_dagster(world, "sync_report")["broken_rules"]["Person.Name"] == 2
    print_report(report)
    printed = " ".join(capsys.readouterr().out.split())
    assert "1 entries were applied as DICT has signed them, though they break the rule Key.EMAIL" in printed
    assert "example.com" not in caplog.text + printed + str(told_dagster(world, "sync_report"))


def with_another_request_id(world: World, keys: list[str]) -> None:
    """Have us hold entries as if their claim had been completed with another request id than DICT's."""
    for key in keys:
        held = world.directory.entry_by_key(key)
        assert held is not None
        wrong = replace(held.entry, request_id=uuid4())
        world.sql("update entries set request_id = %s, cid = %s where key = %s", wrong.request_id, wrong.cid(), key)


def test_keys_that_differ_in_the_request_id_alone_are_counted_and_take_dicts(
    world: World, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """After a claim the CID is made with the RequestId of CompleteClaimRequest; a bulk of them has that cause."""
    world.populate(50)
    world.sync()
    wrong = [world.key_of("PHONE", number) for number in range(3)] + [world.key_of("EMAIL")]
    with_another_request_id(world, wrong)
    drift(world.directory, None, ISPB, updates=2, key_types=["CPF"])
    world.settle()

    planned, done, after = world.sync(dry_run=True), world.sync(), world.sync()

    for report in (planned, done):
        assert (report.outdated_local, report.key_types["PHONE"]["request_id_alone"]) == (6, 3)
        assert [report.key_types[name]["request_id_alone"] for name in ("EMAIL", "CPF")] == [1, 0]
    assert (done.status, done.entries_updated) == ("COMPLETED", 6)
    for key in wrong:
        held = world.directory.entry_by_key(key)
        assert held is not None
        assert world.sql("select request_id, cid from entries where key = %s", key) == [
            (held.entry.request_id, held.cid)
        ]
    assert sum(told["request_id_alone"] for told in after.key_types.values()) == 0
    assert f"{ISPB}: PHONE: 3 keys differ from DICT in the request id alone" in caplog.text
    print_report(done)
    assert "4 keys differ from DICT in the request id alone" in capsys.readouterr().out
    print_report(after)
    assert "request id" not in capsys.readouterr().out


def test_a_key_that_differs_in_more_than_the_request_id_is_not_counted(world: World) -> None:
    world.populate(10)
    world.sync()
    key = world.key_of("PHONE")
    with_another_request_id(world, [key])
    world.sql("update entries set branch = '9999' where key = %s", key)
    world.settle()

    report = world.sync("FULL", dry_run=True)

    assert (report.outdated_local, report.key_types["PHONE"]["request_id_alone"]) == (1, 0)
