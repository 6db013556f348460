"""A sync that would change an unlikely share of the keys waits for a person."""

from datetime import timedelta
from typing import Any

import psycopg
import pytest

from vsync_dagster.reconcile.errors import NotStartedError
from vsync_dagster.simulator.drift import drift
from vsync_dagster_tests.assets.test_failures import materialize
from vsync_dagster_tests.marks import marks
from vsync_dagster_tests.world import DAY, ISPB, World

UNASKED: dict[str, Any] = {"mass_change_share": 0.0, "mass_change_keys": 5}
PERMISSION: dict[str, Any] = {"allowed_by": "ana", "reason": "restored the backup of Monday"}


def move_apart(world: World, deletes: int = 2) -> None:
    world.populate(25)
    world.sync()
    drift(world.directory, None, ISPB, creates=2, updates=2, deletes=deletes)
    world.settle()


def test_nothing_is_written_until_a_person_allows_it(world: World) -> None:
    move_apart(world)
    before = world.cids_here()

    report = world.sync("FULL", **UNASKED)

    assert (report.status, report.verified) == ("FAILED", False)
    assert "6 of 25 keys would change, more than the 5 that may change unasked" in str(report.error_message)
    assert world.cids_here() == before
    assert_nothing_is_written(world)


def assert_nothing_is_written(world: World) -> None:
    for table in ("fixes", "manual_review_queue", "mass_changes"):
        assert world.sql(f"select count(*) from {table}") == [(0,)]  # noqa: S608


def test_as_many_as_permitted_need_nobody(world: World) -> None:
    move_apart(world, deletes=1)
    assert world.sync("FULL", **UNASKED).status == "COMPLETED"


def test_applied_fixes_alone_refuses_too(world: World) -> None:
    move_apart(world)
    world.settings |= UNASKED
    materialize(world, "local_snapshot", "bacen_snapshot", "discrepancies")
    before = world.cids_here()

    run_id = materialize(world, "applied_fixes")

    assert world.sql("select status from sync_reports where run_id = %s", run_id) == [("FAILED",)]
    assert world.cids_here() == before
    assert_nothing_is_written(world)


def test_a_permit_is_written_down_and_is_for_one_run(world: World) -> None:
    move_apart(world)

    report = world.sync("FULL", allow_mass_change=True, **PERMISSION, **UNASKED)

    assert report.status == "COMPLETED"
    permits = world.sql(
        "select run_id, participant_ispb, sync_day, changes, participants_keys, person, reason from mass_changes"
    )
    assert permits == [(report.run_id, ISPB, DAY, 6, 25, "ana", "restored the backup of Monday")]
    with pytest.raises(psycopg.Error), psycopg.connect(world.database.url) as connection:
        connection.execute("delete from mass_changes")

    drift(world.directory, None, ISPB, creates=6, seed=2)
    world.settle()
    assert world.sync("FULL", **UNASKED).status == "FAILED", "on the same day"
    assert world.sync("FULL", day=DAY + timedelta(days=1), **UNASKED).status == "FAILED"


def test_keys_that_are_under_review_already_do_not_count_again(world: World) -> None:
    move_apart(world)
    world.sync("FULL")
    drift(world.directory, None, ISPB, creates=5, seed=2)
    world.settle()
    assert world.sync("FULL", **UNASKED).status == "COMPLETED"


@pytest.mark.parametrize("missing", PERMISSION)
def test_a_permit_without_who_and_why_is_refused(world: World, missing: str) -> None:
    with pytest.raises(NotStartedError, match="allow_mass_change needs allowed_by and a reason"):
        world.sync("FULL", allow_mass_change=True, **{**PERMISSION, missing: " "})
    assert marks(world) == []


def test_a_set_of_dicts_that_shrank_waits_for_a_person(world: World) -> None:
    """Each change is within the limit; what DICT has lost since it was last verified is not, here as there."""
    world.populate(25)
    assert world.sync("FULL").verified
    gone = world.sql("select key from entries order by key limit 6")
    for (key,) in gone:
        world.directory.delete_entry(key)
        world.sql("update entries set status = 'DELETED', deleted_at = now() where key = %s", key)
    drift(world.directory, None, ISPB, updates=1)
    world.settle()
    before = world.cids_here()

    report = world.sync("FULL", **UNASKED)

    assert report.status == "FAILED"
    assert "DICT's set has shrunk from 25 keys, when it was last verified, to 19" in str(report.error_message)
    assert world.cids_here() == before
    assert_nothing_is_written(world)
    allowed = world.sync("FULL", allow_mass_change=True, **PERMISSION, **UNASKED)
    assert (allowed.status, allowed.entries_updated) == ("COMPLETED", 1)
    drift(world.directory, None, ISPB, updates=1, seed=2)
    world.settle()
    assert world.sync("FULL", **UNASKED).status == "COMPLETED", "verified since"


def test_a_dry_run_changes_nothing_and_needs_nobody(world: World) -> None:
    move_apart(world)
    assert world.sync("FULL", dry_run=True, **UNASKED).status == "PARTIAL"
