"""The incidents of an SRE's night: what is printed leads to the heading of docs/messages.md that solves it."""

import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import dagster as dg
import pytest
import trustme

from vsync_dagster.cli.output import print_report
from vsync_dagster.definitions import defs
from vsync_dagster.embedded.process import free_port
from vsync_dagster.jobs import SYNC_JOB
from vsync_dagster.local_db import reports, roles
from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.reports import Report
from vsync_dagster.partitions import SyncPartition, open_partitions_for
from vsync_dagster.resources import EventBroker
from vsync_dagster.sensors.ended_syncs import tell_of_failed
from vsync_dagster.simulator.drift import drift
from vsync_dagster.simulator.faults import FaultKind
from vsync_dagster.simulator.operations import Operation
from vsync_dagster_tests.cli.conftest import Command
from vsync_dagster_tests.logins import login_with
from vsync_dagster_tests.test_docs import message_sections
from vsync_dagster_tests.world import DAY, ISPB, World, certificates, running_world

LINK = re.compile(r"docs/messages\.md#([a-z-]+)")


@pytest.fixture
def world(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with running_world(database, tmp_path, monkeypatch) as running:
        running.populate(25)
        yield running


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> "Printed":
    caplog.set_level(logging.INFO, "vsync_dagster")
    return Printed(capsys, caplog)


class Printed:
    """What a person has seen: the log, and the report as `vsync sync` shows it."""

    def __init__(self, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
        self._capsys = capsys
        self._caplog = caplog

    def of(self, report: Report) -> str:
        print_report(report)
        return self._capsys.readouterr().out

    def log(self) -> str:
        return "\n".join(record.getMessage() for record in self._caplog.records)


def solution(text: str) -> str:
    """Return what the heading says that a printed text links to; one link, and no other."""
    [code] = set(LINK.findall(text.replace("\n", "")))
    return message_sections()[code]


def test_dict_is_down(world: World, printed: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vsync_dagster.dict_api.retrying._LONGEST_BACKOFF", 0.01)
    monkeypatch.setenv("VSYNC_DICT_URL", f"https://127.0.0.1:{free_port()}/api/v2/")
    text = printed.of(world.sync())
    assert "NO_CONNECTION" in text
    assert "NO_CONNECTION" in solution(text)


def test_the_database_has_another_password(world: World, printed: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    place = urlsplit(world.database.url)
    wrong = place._replace(netloc=f"{place.username}:wrong@{place.hostname}:{place.port}").geturl()
    monkeypatch.setattr("vsync_dagster.local_db.database.wait_exponential", lambda **_: lambda _: 0.01)
    monkeypatch.setenv("VSYNC_DATABASE_URL", wrong)
    text = printed.of(world.sync())
    assert "password" in text
    assert "password" in solution(text)


def test_our_certificate_has_expired(
    world: World, printed: Printed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority = certificates().authority_file
    ca = trustme.CA.from_pem(authority.read_bytes(), authority.with_suffix(".key").read_bytes())
    ended = ca.issue_cert(f"{ISPB}.invalid", common_name=ISPB, not_after=datetime.now(UTC) - timedelta(days=1))
    ended.cert_chain_pems[0].write_to_path(tmp_path / "ended.pem")
    ended.private_key_pem.write_to_path(tmp_path / "ended.key")
    monkeypatch.setattr("vsync_dagster.dict_api.retrying._LONGEST_BACKOFF", 0.01)
    monkeypatch.setenv("VSYNC_DICT_CLIENT_CERT_FILE", str(tmp_path / "ended.pem"))
    monkeypatch.setenv("VSYNC_DICT_CLIENT_KEY_FILE", str(tmp_path / "ended.key"))
    text = printed.of(world.sync())
    assert "VSYNC_DICT_CLIENT_CERT_FILE" in text
    assert "rotating-certificates" in solution(text)


def test_the_disk_cannot_be_written(synced: Command, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ran = synced("sync", "--ispb", ISPB, VSYNC_STORAGE_URL=str(tmp_path / "file" / "snapshots"))
    assert ran.status != 0
    assert "VSYNC_STORAGE_URL" in ran.err
    assert "df -h" in solution(ran.err)


def test_the_broker_is_down(world: World, printed: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VSYNC_PULSAR_URL", f"pulsar://127.0.0.1:{free_port()}")
    assert world.sync(publish=False).status == "COMPLETED"
    result = EventBroker().publish_for(world.database, 5)
    assert result is not None
    assert result.left == 1
    assert "vsync outbox" in solution(printed.log())


def test_dicts_budget_is_used_up(world: World, printed: Printed) -> None:
    world.directory.faults.add(Operation.CREATE_SYNC_VERIFICATION, FaultKind.STATUS, status=429, retry_after=900)
    text = printed.of(world.sync())
    assert "budget SYNC_VERIFICATIONS_WRITE is used up" in text
    assert "VSYNC_BUDGET_WAIT_SECONDS" in solution(text)


def test_too_much_would_change(world: World, printed: Printed) -> None:
    drift(world.directory, None, ISPB, creates=3)
    world.settle()
    text = printed.of(world.sync("FULL", mass_change_keys=1, mass_change_share=0.0))
    assert "--allow-mass-change" in solution(text)


def test_a_run_was_killed(world: World, printed: Printed) -> None:
    open_partitions_for(world.instance, [ISPB])
    run = world.instance.create_run_for_job(
        defs.resolve_job_def(SYNC_JOB), tags={"dagster/partition": SyncPartition(DAY, ISPB).key}
    )
    world.instance.report_run_failed(run, "its process is gone")
    lost = world.instance.get_run_by_id(run.run_id)
    assert isinstance(lost, dg.DagsterRun)
    tell_of_failed(world.instance, lost, world.database)
    with world.database.connect() as connection:
        report = reports.of_run(connection, run.run_id)
    assert report is not None
    assert "dmesg" in solution(printed.of(report))


def test_a_migration_is_missing(world: World, printed: Printed) -> None:
    world.sql("alter table sync_leases rename to of_another_version")
    assert "vsync migrate" in solution(printed.of(world.sync()))


def test_the_roles_were_not_applied_after_an_upgrade(
    world: World, printed: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    with login_with(world.database, roles.APPLICATION) as login:
        world.sql("revoke all on sync_leases from vsync_application")
        monkeypatch.setenv("VSYNC_DATABASE_URL", login.url)
        text = printed.of(world.sync())
    assert "vsync roles apply" in solution(text)


def test_the_certificate_is_another_participants(
    world: World, printed: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in certificates().variables("87654321").items():
        monkeypatch.setenv(name, value)
    text = printed.of(world.sync())
    assert "vsync participants list" in solution(text)


def test_an_answers_signature_is_wrong(world: World, printed: Printed) -> None:
    world.directory.faults.add(Operation.CREATE_SYNC_VERIFICATION, FaultKind.SIGNATURE_BY_ANOTHER)
    text = printed.of(world.sync())
    assert "VSYNC_DICT_SIGNING_CERT_FILES" in solution(text)


def test_the_clock_is_wrong(world: World, printed: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world.directory, "now", lambda: datetime.now(UTC) + timedelta(seconds=90))
    report = world.sync()
    assert report.status == "COMPLETED"
    assert "behind DICT's" in printed.log()
    assert "chrony" in solution(printed.log())
    [shown] = [
        event.step_materialization_data.materialization.metadata["clock_difference_seconds"].value
        for record in world.instance.get_records_for_run(report.run_id).records
        if (event := record.event_log_entry.dagster_event) is not None
        and event.event_type is dg.DagsterEventType.ASSET_MATERIALIZATION
        and "clock_difference_seconds" in event.step_materialization_data.materialization.metadata
    ]
    assert isinstance(shown, float)
    assert 80 < shown < 100
