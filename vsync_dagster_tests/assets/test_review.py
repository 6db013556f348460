"""Keys under review, from the sync that puts them up to the sync that is wholly OK again."""

from datetime import UTC, datetime

from vsync_dagster.local_db import decisions, review
from vsync_dagster.local_db.decisions import Decision
from vsync_dagster.simulator.drift import drift
from vsync_dagster_tests.logins import login_with
from vsync_dagster_tests.world import ISPB, World


def put_up(world: World, count: int = 2) -> list[review.OpenItem]:
    """Let DICT lose keys, and sync."""
    world.populate(25)
    world.sync()
    drift(world.directory, None, ISPB, deletes=count, key_types=["CPF"])
    world.settle()
    world.sync()
    with world.database.connect() as connection:
        return review.open_items(connection, ISPB)


def test_two_people_delete_and_the_next_sync_is_wholly_ok(world: World) -> None:
    items = put_up(world)
    assert {item.suggestion().decision for item in items} == {"CONFIRM_DELETION"}
    with login_with(world.database, "vsync_compliance") as ana, login_with(world.database, "vsync_compliance") as rui:
        for item in items:
            with ana.connect() as connection:
                decisions.decide(connection, item.id, Decision.CONFIRM_DELETION, "DICT removed it")
            with rui.connect() as connection:
                decisions.approve(connection, item.id, "agreed")

    report = world.sync()

    told = report.key_types["CPF"]
    assert (report.status, told["after"], told["proof"], told["under_review"]) == ("COMPLETED", "OK", "VSYNC", 0)
    assert world.cids_here() == world.cids_at_dict()


def test_an_item_whose_key_turns_up_in_dict_closes_itself(world: World) -> None:
    """One of two is back: neither VSync is OK until its item is closed."""
    world.populate(25)
    world.sync()
    held = {entry.cid(): entry for entry in world.directory.entries(ISPB, "CPF")}
    drift(world.directory, None, ISPB, deletes=2, key_types=["CPF"])
    world.settle()
    world.sync()
    with world.database.connect() as connection:
        back, still = review.open_items(connection, ISPB)
    world.directory.bulk_create([held[back.cid]], log_from=datetime.now(UTC))
    world.settle()

    report = world.sync("FULL")

    assert report.status == "COMPLETED"
    assert report.key_types["CPF"]["under_review"] == 1
    with world.database.connect() as connection:
        assert [item.id for item in review.open_items(connection, ISPB)] == [still.id]
        assert decisions.trail(connection, back.id)[-1].reason == "closed by a sync: DICT holds the key again"
