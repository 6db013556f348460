"""`vsync doctor` against a real PostgreSQL and a DICT over TLS: what holds, what does not, and what to do."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from vsync_dagster.doctor.check import Check, State, would_sync
from vsync_dagster.doctor.directory import check_clock
from vsync_dagster.doctor.run import Doctor
from vsync_dagster.environment import Environment
from vsync_dagster.local_db import participants, roles
from vsync_dagster.local_db.database import Database
from vsync_dagster_tests.cli.conftest import Command
from vsync_dagster_tests.logins import login_with
from vsync_dagster_tests.world import ISPB, World, certificates, running_world

KNOWN = {"VSYNC_STORAGE_URL"}


@pytest.fixture
def world(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A participant without keys, and a DICT."""
    with running_world(database, tmp_path, monkeypatch) as running:
        with database.connect() as conn:
            roles.apply(conn)
        yield running


def now() -> datetime:
    return datetime.now(UTC)


def examine(
    variables: dict[str, str], *, clock: Callable[[], datetime] = now, known: set[str] | None = None, limit: float = 60
) -> list[Check]:
    environment = Environment(variables)
    return list(Doctor(environment, known or set(variables) | KNOWN, clock, limit=limit).checks())


def found(checks: list[Check], name: str) -> list[Check]:
    return [check for check in checks if check.name.startswith(name)]


def only(checks: list[Check], name: str) -> Check:
    [check] = found(checks, name)
    return check


def changed(world: World, **variables: str) -> dict[str, str]:
    return {**world.variables.variables, **variables}


def test_where_all_is_well_a_sync_would_work_and_nothing_stays_behind(world: World, tmp_path: Path) -> None:
    world.populate(10)
    tables = ("dict_calls", "dict_budgets", "sync_state", "sync_reports", "sync_leases", "outbox", "alerts")
    counts = " union all ".join(f"select count(*) from {table}" for table in tables)  # noqa: S608
    before, files = world.sql(counts), sorted(tmp_path.rglob("*"))
    with login_with(world.database, roles.APPLICATION) as login:
        checks = examine(changed(world, VSYNC_DATABASE_URL=login.url))
    assert [check for check in checks if check.state is State.FAILED] == []
    assert would_sync(checks)
    names = {check.name for check in checks if check.state is State.OK}
    assert names >= {
        "variables",
        "database",
        "migrations",
        "roles",
        "triggers",
        "participants",
        "DICT's name",
        "DICT's TLS",
        "certificate of VSYNC_DICT_CLIENT_CERT_FILE",
        "ISPB of VSYNC_DICT_CLIENT_CERT_FILE",
        "ISPB of VSYNC_SIGNING_CERT_FILE",
        f"budgets of {ISPB}",
        "an answer",
        "a signed call",
        "signing key",
        "clock",
        "file host",
        "storage",
    }
    assert {check.name for check in checks if check.state is State.WARNING} == {"broker", "alert targets"}
    assert world.sql(counts) == before
    assert sorted(tmp_path.rglob("*")) == files


def test_all_wrong_variables_are_said_at_once_without_their_values(world: World) -> None:
    wrong = {
        "VSYNC_ENCRYPTION_KEYS": "geheim",
        "VSYNC_DICT_CA_FILE": "/nowhere/geheim.pem",
        "VSYNC_DICT_CLIENT_CERT_FILE": "/nowhere/geheim.pem",
        "VSYNC_SIGNING_KEY_FILE": "/nowhere/geheim.key",
        "VSYNC_LEASE_SECONDS": "soon",
        "VSYNC_PULSAR_URL": "http://geheim@h",
        "VSYNC_ALERT_URLS": "loud=slack://geheim",
        "VSYNC_FIRST_DAY": "yesterday",
        "VSYNC_DAILY_CRON": "at night",
    }
    checks = examine(changed(world, **wrong))
    said = found(checks, "variables")
    assert {check.detail.split()[0] for check in said} >= set(wrong)
    assert all(check.state is State.FAILED for check in said)
    assert only(checks, "DICT").state is State.SKIPPED
    assert "geheim" not in str(checks)


def test_a_variable_that_is_not_one_is_warned_about(world: World) -> None:
    [check] = found(examine(changed(world, VSYNC_STORAGE_ULR="x"), known=set(changed(world)) | KNOWN), "variables")
    assert (check.state, check.action) == (State.WARNING, "did you mean VSYNC_STORAGE_URL?")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"netloc": "vsync:wrong@{host}"}, "refuses the password"),
        ({"netloc": "vsync@no-such-host.invalid"}, "is unknown"),
        ({"netloc": "vsync@127.0.0.1:1"}, "refuses the connection"),
        ({"path": "/no_such_database"}, "does not exist at its server"),
    ],
)
def test_why_there_is_no_connection_is_told_apart(world: World, change: dict[str, str], said: str) -> None:
    parts = urlsplit(world.database.url)
    host = f"{parts.hostname}:{parts.port}"
    url = parts._replace(**{name: text.format(host=host) for name, text in change.items()}).geturl()
    checks = examine(changed(world, VSYNC_DATABASE_URL=url))
    check = only(checks, "database")
    assert check.state is State.FAILED
    assert said in check.detail
    assert check.action
    assert only(checks, "calls to DICT").state is State.SKIPPED
    assert not would_sync(checks)


def test_each_thing_that_is_missing_in_the_database_says_what_to_run(world: World, empty_database: Database) -> None:
    assert (
        only(examine(changed(world, VSYNC_DATABASE_URL=empty_database.url)), "migrations").action
        == "run `vsync migrate`"
    )
    world.sql("delete from schema_migrations where version = (select max(version) from schema_migrations)")
    assert only(examine(changed(world)), "migrations").detail == "1 migrations are missing"
    world.sql("insert into schema_migrations (version, name) values (9998, 'x'), (9999, 'y')")
    assert "newer than this program" in only(examine(changed(world)), "migrations").detail


def test_a_login_without_rights_and_one_with_too_many(world: World) -> None:
    with login_with(world.database, roles.AUDITOR) as login:
        check = only(examine(changed(world, VSYNC_DATABASE_URL=login.url)), "roles")
    assert check.state is State.FAILED
    assert "grant vsync_application" in check.action
    assert only(examine(changed(world)), "roles").state is State.WARNING, "it owns the tables"


def test_a_trigger_out_of_force_and_nobody_to_sync(world: World) -> None:
    world.sql("alter table entries disable trigger record_updated_cids")
    with world.database.connect() as conn:
        participants.set_enabled(conn, ISPB, enabled=False)
    checks = examine(changed(world))
    assert "record_updated_cids" in only(checks, "triggers").detail
    assert only(checks, "participants").state is State.FAILED


def test_a_dict_that_is_elsewhere_or_not_at_all(world: World) -> None:
    unknown = examine(changed(world, VSYNC_DICT_URL="https://no-such-dict.invalid:16522/api/v2/"))
    assert only(unknown, "DICT's name").detail == "no-such-dict.invalid is unknown"
    refused = examine(changed(world, VSYNC_DICT_URL="https://127.0.0.1:1/api/v2/"))
    assert "refused" in only(refused, "DICT's TLS").detail
    assert not would_sync(refused)


def test_an_authority_that_is_not_dicts(world: World) -> None:
    stranger = certificates().variables(ISPB)["VSYNC_SIGNING_CERT_FILE"]
    checks = examine(changed(world, VSYNC_DICT_CA_FILE=stranger))
    assert only(checks, "DICT's TLS").action == "name its authority in VSYNC_DICT_CA_FILE"


def test_certificates_of_another_participant_and_out_of_their_time(world: World) -> None:
    theirs = certificates().variables("87654321")
    own = ("VSYNC_DICT_CLIENT_CERT_FILE", "VSYNC_DICT_CLIENT_KEY_FILE")
    checks = examine(changed(world, **{name: theirs[name] for name in own}))
    check = only(checks, "ISPB of VSYNC_DICT_CLIENT_CERT_FILE")
    assert check.state is State.FAILED
    assert check.detail == "it is of 87654321, and no enabled participant acts as 87654321"
    assert only(checks, "ISPB of VSYNC_SIGNING_CERT_FILE").state is State.OK
    later = examine(changed(world), clock=lambda: now() + timedelta(days=1_000_000))
    assert {check.state for check in found(later, "certificate of")} == {State.FAILED}


def test_a_signature_that_is_not_trusted_ends_the_call(world: World) -> None:
    other = certificates().variables(ISPB)["VSYNC_SIGNING_CERT_FILE"]
    checks = examine(changed(world, VSYNC_DICT_SIGNING_CERT_FILES=other))
    check = only(checks, f"a call for {ISPB}")
    assert check.state is State.FAILED
    assert "the signature of DICT's answer to bucketStates is refused" in check.detail


@pytest.mark.parametrize(
    ("seconds", "state"), [(3, State.OK), (-3, State.OK), (60, State.WARNING), (-60, State.WARNING)]
)
def test_a_clock_that_differs(seconds: int, state: State) -> None:
    before = datetime(2026, 11, 24, tzinfo=UTC)
    check = check_clock(before + timedelta(seconds=seconds), before, before + timedelta(milliseconds=20))
    assert check.state is state
    if state is State.WARNING:
        assert ("behind" if seconds > 0 else "ahead of") in check.detail


def test_a_storage_that_cannot_be_written(world: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    check = only(examine(changed(world, VSYNC_STORAGE_URL=str(tmp_path / "file" / "snapshots"))), "storage")
    assert check.state is State.FAILED
    assert "VSYNC_STORAGE_URL" in check.action
    assert str(tmp_path) not in str(check)


def test_a_file_host_that_does_not_answer(world: World) -> None:
    checks = examine(changed(world, VSYNC_DICT_DOWNLOAD_BASE="https://127.0.0.1:1/"))
    assert only(checks, "file host").state is State.FAILED


def test_a_broker_and_an_alertmanager_that_are_down_are_warnings(world: World) -> None:
    down = {"VSYNC_PULSAR_URL": "pulsar://127.0.0.1:1", "VSYNC_ALERTMANAGER_URL": "http://127.0.0.1:1"}
    checks = examine(changed(world, **down))
    assert only(checks, "broker").state is State.WARNING
    assert only(checks, "alert target alertmanager").state is State.WARNING
    assert would_sync(checks)


def test_a_check_that_hangs_ends_in_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr("vsync_dagster.doctor.run.around.check_broker", lambda _: released.wait(60))
    try:
        checks = examine({}, limit=0.2)
    finally:
        released.set()
    assert only(checks, "broker").detail == "no answer within 0 s"
    assert found(checks, "alert targets"), "the next ones are made"


def test_the_command_prints_each_line_and_ends_with_its_code(world: World, tmp_path: Path) -> None:
    vsync = Command(dict(world.variables.variables), tmp_path)
    ran = vsync("doctor", "--json")
    assert ran.status == 0, ran.out
    assert ran.json["would_sync"] is True
    assert {"name", "state", "detail", "action"} == set(ran.json["checks"][0])
    broken = replace(vsync, variables={**vsync.variables, "VSYNC_DATABASE_URL": "postgresql://u:geheim@127.0.0.1:1/d"})
    ran = broken("doctor")
    assert ran.status == 2
    assert "FAILED   database: the server of VSYNC_DATABASE_URL refuses the connection" in ran.out
    assert ran.out.splitlines()[-1] == "a sync would not work: see what FAILED"
    assert "geheim" not in ran.out + ran.err
    assert json.dumps(ran.err) == '""'
