"""The commands against a real PostgreSQL (Dagster's storage too) and a DICT over HTTP."""

import getpass
import json
import time
from uuid import UUID

from vsync_dagster.local_db import roles
from vsync_dagster.simulator.drift import drift
from vsync_dagster.simulator.faults import FaultKind
from vsync_dagster.simulator.operations import Operation
from vsync_dagster.simulator.population import generate
from vsync_dagster_tests.cli.conftest import Command
from vsync_dagster_tests.world import ISPB, World

REPORT_FIELDS = {
    "report_id", "run_id", "participant_ispb", "sync_type", "sync_day", "sync_timestamp", "duration_ms", "status",
    "error_message", "entries_synced", "entries_created", "entries_updated", "entries_deleted", "discrepancies",
    "missing_local", "outdated_local", "missing_bacen", "in_flight", "fixes_failed", "verified",
    "pending", "resume_at", "plan", "key_types",
}  # fmt: skip
KEY_TYPE_FIELDS = {"entries", "before", "source", "after", "under_review"}


def test_sync_prints_one_json_object_and_exits_by_its_status(world: World, synced: Command) -> None:
    world.populate(50)
    drift(world.directory, None, ISPB, creates=2, updates=2, deletes=1)
    time.sleep(6)  # what is younger than DICT's real lag counts as in flight

    ran = synced("sync", "--ispb", ISPB, "--json")

    report = ran.json
    assert ran.status == 0, ran.err
    assert report.keys() >= REPORT_FIELDS
    assert list(report["key_types"]) == ["CPF", "CNPJ", "PHONE", "EMAIL", "EVP"]
    assert all(told.keys() >= KEY_TYPE_FIELDS for told in report["key_types"].values())
    assert (report["status"], report["verified"]) == ("COMPLETED", True)
    assert (report["entries_created"], report["entries_updated"], report["entries_deleted"]) == (2, 2, 1)
    assert "DICT's verdicts" in ran.err, "progress goes to stderr"

    _shows_what_is_kept(synced, report["report_id"])
    _runs_are_in_dagsters_own_schema(world, report["run_id"])


def _shows_what_is_kept(synced: Command, report_id: str) -> None:
    assert report_id in synced("report", "list").out
    assert synced("report", "show", report_id, "--json").json["report_id"] == report_id
    assert "in sync, but for the 1 keys still under review" in synced("report", "show", report_id).out
    item = synced("review", "list", "--json").json
    assert item["status"] == "PENDING"
    assert "*" in item["key"], "keys are masked"
    assert synced("verify", "--ispb", ISPB).status == 0


def _runs_are_in_dagsters_own_schema(world: World, run_id: str) -> None:
    assert world.sql("select count(*) from dagster.runs where run_id = %s", run_id) == [(1,)]
    assert world.sql("select to_regclass('public.runs') is null") == [(True,)]


def test_partial_is_1_and_failed_is_2_and_json_is_there_all_the_same(world: World, synced: Command) -> None:
    world.populate(25)
    drift(world.directory, None, ISPB, creates=1)
    partial = synced("sync", "--ispb", ISPB, "--json", "--dry-run")
    world.directory.faults.add(Operation.CREATE_SYNC_VERIFICATION, FaultKind.STATUS, times=9, status=403)
    failed = synced("sync", "--ispb", ISPB, "--json")

    assert (partial.status, partial.json["status"]) == (1, "PARTIAL")
    assert (failed.status, failed.json["status"]) == (2, "FAILED")
    assert "Forbidden" in failed.json["error_message"]


def test_a_sync_that_fails_raises_its_alert_and_the_next_takes_it_back(world: World, synced: Command) -> None:
    """No sensor is handed the runs of the command line."""
    alerts = "select fingerprint, resolved_at is null from alerts"
    world.directory.faults.add(Operation.CREATE_SYNC_VERIFICATION, FaultKind.STATUS, times=1, status=403)
    assert synced("sync", "--ispb", ISPB).status == 2
    assert world.sql(alerts) == [(f"VSyncFailed/{ISPB}", True)]
    world.directory.faults.clear()
    assert synced("sync", "--ispb", ISPB).status == 0
    assert world.sql(alerts) == [(f"VSyncFailed/{ISPB}", False)]


def test_without_a_database_sync_still_prints_its_failed_report(world: World, synced: Command) -> None:
    ran = synced("sync", "--ispb", ISPB, "--json", VSYNC_DATABASE_URL="postgresql://u:geheim@127.0.0.1:1/d")

    assert ran.status == 2
    assert ran.json["status"] == "FAILED"
    assert str(UUID(ran.json["report_id"])) == ran.json["report_id"]
    assert "geheim" not in ran.out + ran.err


def test_without_an_ispb_every_enabled_participant_is_synced_and_the_worst_counts(
    world: World, synced: Command
) -> None:
    world.populate(25)
    for ispb in ("00000001", "00000002"):
        assert synced("participants", "add", ispb, "--name", f"Banco {ispb}").status == 0
    world.sql("update participants set enabled = false where participant_ispb = '00000002'")

    ran = synced("sync", "--json")

    reports = [json.loads(line) for line in ran.out.splitlines()]
    assert [(report["participant_ispb"], report["status"]) for report in reports] == [
        ("00000001", "FAILED"),  # DICT does not know it
        (ISPB, "COMPLETED"),
    ]
    assert ran.status == 2
    assert "00000002  Banco 00000002 (disabled)" in synced("participants", "list").out


def test_verify_asks_and_changes_no_key(world: World, synced: Command) -> None:
    world.populate(25)
    drift(world.directory, None, ISPB, creates=1, key_types=["CPF"])
    before = world.cids_here()

    ran = synced("verify", "--ispb", ISPB, "--json")

    assert ran.status == 1
    results = {name: told["result"] for name, told in ran.json["key_types"].items()}
    assert results == {"CPF": "NOK", "CNPJ": "OK", "PHONE": "OK", "EMAIL": "OK", "EVP": "OK"}
    assert ran.err.splitlines()[-1].endswith("(see docs/messages.md#vsync-nok)")
    assert world.cids_here() == before


def test_migrate_says_what_it_did(synced: Command) -> None:
    assert synced("migrate").out == "the tables are up to date\n"


def test_roles_are_applied_or_printed_for_a_dba(world: World, synced: Command) -> None:
    applied = synced("roles", "apply")
    printed = synced("roles", "sql", VSYNC_DATABASE_URL=None)

    assert (applied.status, printed.status) == (0, 0), applied.err + printed.err
    assert printed.out.encode() == roles.sql()
    assert world.sql("select has_table_privilege('vsync_auditor', 'sync_reports', 'select')") == [(True,)]


def test_the_simulator_is_filled_and_moved_from_the_command_line(world: World, synced: Command) -> None:
    state = str(world.directory.file.path)

    populated = synced("simulator", "populate", "--ispb", ISPB, "--keys", "50", "--state", state)
    moved = synced("simulator", "drift", "--ispb", ISPB, "--creates", "3", "--local-tampers", "2", "--state", state)

    assert (populated.status, moved.status) == (0, 0), populated.err + moved.err
    assert len(world.cids_at_dict() - {bytes(row[0]) for row in world.sql("select cid from entries")}) == 3


def test_too_many_changes_exit_with_2_until_somebody_allows_them(world: World, synced: Command) -> None:
    world.directory.bulk_create(list(generate(ISPB, 1_001, 1)))

    refused = synced("sync", "--ispb", ISPB, "--sync-type", "FULL", "--json")
    assert (refused.status, refused.json["status"]) == (2, "FAILED")
    assert "1001 of 0 keys would change" in refused.json["error_message"]

    allowed = synced("sync", "--ispb", ISPB, "--sync-type", "FULL", "--allow-mass-change", "--reason", "first sync")
    assert allowed.status == 0, allowed.err
    assert world.sql("select person, reason from mass_changes") == [(getpass.getuser(), "first sync")]


def test_participants_are_disabled_and_enabled(world: World, synced: Command) -> None:
    assert synced("participants", "disable", ISPB).out == f"participant {ISPB} is disabled\n"
    assert "(disabled)" in synced("participants", "list").out
    assert synced("participants", "enable", ISPB).status == 0
    assert "(disabled)" not in synced("participants", "list").out
    unknown = synced("participants", "disable", "00000000")
    assert (unknown.status, "is not registered" in unknown.err) == (64, True)
