"""`vsync review` as scripts use it."""

from vsync_dagster.local_db import decisions, review
from vsync_dagster.local_db.review import ReviewItem
from vsync_dagster_tests.cli.conftest import Command
from vsync_dagster_tests.local_db.parts import ISPB, RUN, insert, make_entry
from vsync_dagster_tests.logins import login_with
from vsync_dagster_tests.world import World


def test_a_key_from_the_list_to_its_deletion(world: World, synced: Command) -> None:
    entry = make_entry(1)
    with world.database.connect() as connection:
        row = insert(connection, entry)
        review.queue(connection, RUN, ISPB, [ReviewItem(row, "CPF", entry.cid(), "MISSING_BACEN", {})])
    item = synced("review", "list", "--json").json["id"]
    with login_with(world.database, "vsync_compliance") as ana, login_with(world.database, "vsync_compliance") as rui:
        decide = ("review", "decide", item, "confirm_deletion", "--reason", "gone")
        proposed = synced(*decide, VSYNC_DATABASE_URL=ana.url)
        alone = synced("review", "approve", item, "--reason", "me again", VSYNC_DATABASE_URL=ana.url)
        approved = synced("review", "approve", item, "--reason", "agreed", VSYNC_DATABASE_URL=rui.url)

    assert (proposed.status, approved.status) == (0, 0), proposed.err + approved.err
    assert (alone.status, alone.err) == (
        2,
        "vsync: a deletion takes two people: somebody else must approve it (see docs/messages.md#decision-refused)\n",
    )
    shown = synced("review", "show", item)
    assert "APPROVED CONFIRM_DELETION: agreed" in shown.out
    assert entry.key not in shown.out
    assert world.sql("select status from entries") == [("DELETED",)]


def test_what_is_to_be_registered_again_is_exported(world: World, synced: Command) -> None:
    entry = make_entry(1)
    with world.database.connect() as connection:
        row = insert(connection, entry)
        review.queue(connection, RUN, ISPB, [ReviewItem(row, "CPF", entry.cid(), "MISSING_BACEN", {})])
        item = str(review.open_items(connection)[0].id)
    without_a_day = synced("review", "decide", item, "re_register", "--reason", "lost at DICT")
    decided = synced("review", "decide", item, "re_register", "--reason", "lost at DICT", "--until", "2999-01-01")

    assert (without_a_day.status, decided.status) == (2, 0), decided.err
    assert synced("review", "export").json["entry_id"] == str(row)
    assert entry.key not in synced("review", "export").out
    with world.database.connect() as connection:
        assert len(decisions.to_re_register(connection, ISPB)) == 1
