"""What consumers were promised (docs/events.md), held against what is really sent."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from jsonschema import Draft202012Validator

from vsync_dagster.environment import Environment
from vsync_dagster.events.messages import SCHEMA_VERSIONS, SYNC_COMPLETED, TYPES, payload_schema
from vsync_dagster.events.relay import relay
from vsync_dagster.local_db import decisions, outbox, reports, review
from vsync_dagster.local_db.chains import KnownHead
from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.decisions import Decision
from vsync_dagster.resources import EventBroker, LocalDatabase
from vsync_dagster.sensors.outbox_relay import outbox_relay
from vsync_dagster.simulator.drift import drift
from vsync_dagster_tests.events.parts import ISPBS, Received, fill_outbox, read
from vsync_dagster_tests.local_db.test_chains import findings, tamper
from vsync_dagster_tests.logins import login_with
from vsync_dagster_tests.world import ISPB, World, running_world

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "events.md").read_text()
CONSUMER = ROOT / "docs" / "examples" / "event_consumer.py"


@pytest.fixture
def world(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broker_url: str, topic: str
) -> Iterator[World]:
    """A participant and a DICT, and a broker that the environment names."""
    with running_world(database, tmp_path, monkeypatch) as running:
        broker = {"VSYNC_PULSAR_URL": broker_url, "VSYNC_PULSAR_TOPIC": topic}
        for name, value in broker.items():
            monkeypatch.setenv(name, value)
        running.variables = Environment({**running.variables.variables, **broker})
        yield running


def strict(schema: dict[str, Any]) -> Draft202012Validator:
    """A consumer ignores fields that it does not know; we send none that the schema does not tell of."""
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema | {"additionalProperties": False})


def assert_kept(message: Received) -> None:
    kind = message.properties["type"]
    assert message.properties["dataschema"] == payload_schema(kind)["$id"]
    strict(payload_schema(kind)).validate(message.payload)
    assert message.properties["subject"] == message.key == message.payload["participant_ispb"]


def test_every_message_of_a_sync_and_of_a_deletion_keeps_the_contract(
    world: World, broker_url: str, topic: str
) -> None:
    world.populate(40)
    drift(world.directory, None, ISPB, creates=2, updates=2, deletes=1)
    world.settle()
    assert world.sync("FULL").status == "COMPLETED"
    _delete_the_key_under_review(world.database)
    with dg.build_sensor_context(instance=world.instance) as context:
        told = outbox_relay(context, local_database=LocalDatabase(), event_broker=EventBroker())
    assert isinstance(told, dg.SkipReason)
    assert told.skip_message == "published 1 events, 0 wait"

    received = read(broker_url, topic)
    for message in received:
        assert_kept(message)
    assert {message.properties["type"] for message in received} == set(TYPES)
    [completed] = [message.payload for message in received if message.properties["type"] == SYNC_COMPLETED]
    _assert_is_a_witness(world, completed)


def _assert_is_a_witness(world: World, completed: dict[str, Any]) -> None:
    """What a consumer has kept finds whoever owns the database and writes the whole chain anew."""
    assert [(each["table"], each["number"]) for each in completed["chains"]] == [
        ("sync_reports", 1),
        ("review_trail", 1),
    ]
    kept = [
        KnownHead(each["table"], each["participant_ispb"], each["number"], bytes.fromhex(each["hash"]))
        for each in completed["chains"]
    ]
    with world.database.connect() as connection:
        [report] = reports.list_reports(connection)
    assert findings(world.database, kept) == []
    tamper(world.database, "delete from sync_reports; delete from evidence_chains where table_name = 'sync_reports'")
    with world.database.connect() as connection:
        reports.insert(connection, replace(report, discrepancies=0))
    assert findings(world.database) == [], "by itself the new chain is whole"
    [found] = findings(world.database, kept)
    assert (found.row_id, found.problem) == (str(report.id), "the chain was written anew up to it")


def _delete_the_key_under_review(database: Database) -> None:
    with database.connect() as connection:
        [item] = review.open_items(connection)
    with login_with(database, "vsync_compliance") as ana, ana.connect() as connection:
        decisions.decide(connection, item.id, Decision.CONFIRM_DELETION, "gone at DICT")
    with login_with(database, "vsync_compliance") as rui, rui.connect() as connection:
        decisions.approve(connection, item.id, "agreed")


def test_without_a_broker_the_sensor_leaves_the_events_where_they_are(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VSYNC_PULSAR_URL")
    with world.database.connect() as connection:
        outbox.add(connection, ISPB, "x", {})
    with dg.build_sensor_context(instance=world.instance) as context:
        told = outbox_relay(context, local_database=LocalDatabase(), event_broker=EventBroker())
    assert isinstance(told, dg.SkipReason)
    assert told.skip_message == "VSYNC_PULSAR_URL is not set: events wait in the outbox"
    assert world.sql("select published_at from outbox") == [(None,)]


@pytest.mark.parametrize("kind", TYPES)
def test_each_type_is_documented_with_its_schema(kind: str) -> None:
    path = f"vsync_dagster/events/schemas/{kind}.{SCHEMA_VERSIONS[kind]}.json"
    assert f"| `{kind}` |" in DOCUMENT
    assert f"({f'../{path}'})" in DOCUMENT
    assert json.loads((ROOT / path).read_text()) == payload_schema(kind)
    assert payload_schema(kind)["$id"] == f"urn:{kind.replace('.', ':')}:{SCHEMA_VERSIONS[kind]}"


def test_no_event_is_written_that_the_contract_does_not_know() -> None:
    """SQL writes some of them, where no constant of Python's is at hand."""
    package = ROOT / "vsync_dagster"
    text = "\n".join(path.read_text() for kind in ("*.py", "*.sql") for path in package.rglob(kind))
    assert set(re.findall(r"vsync\.(?:entry|sync|review|key)\.[a-z_]+", text)) == set(TYPES)


def consume(url: str, topic: str, seen: Path) -> list[tuple[str, int]]:
    """Run the example and return the participant and the number of what it handled."""
    done = subprocess.run(
        [sys.executable, str(CONSUMER), url, topic, str(seen), "1.5"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    # Pulsar's client writes its own log to stdout.
    handled = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return [(event["subject"], event["data"]["number"]) for event in handled]


def test_the_example_consumer_handles_each_event_once_and_in_order(
    database: Database, broker_url: str, topic: str, tmp_path: Path
) -> None:
    fill_outbox(database, 9)
    relay(database, broker_url, topic)
    with database.connect() as connection:
        assert outbox.publish_again(connection) == 9
    fill_outbox(database, 3)
    assert relay(database, broker_url, topic).published == 12
    seen = tmp_path / "seen.sqlite"
    handled = consume(broker_url, topic, seen)
    assert len(handled) == 12
    for place, ispb in enumerate(ISPBS):
        assert [number for subject, number in handled if subject == ispb] == [place, place + 3, place + 6, place]

    with database.connect() as connection:
        outbox.publish_again(connection)
    assert relay(database, broker_url, topic).published == 12
    assert consume(broker_url, topic, seen) == []
