"""Several items at once, each by itself."""

from uuid import UUID

import pytest

from vsync_dagster.local_db import decisions
from vsync_dagster.local_db.database import Database
from vsync_dagster_tests.console.parts import REMOVED, Person, put_up, text_of

DELETE = {"decision": "CONFIRM_DELETION", "reason": "DICT removed them"}


@pytest.fixture
def items(database: Database) -> list[str]:
    """Three items of the same suggestion."""
    return [str(item_id) for item_id in put_up(database, 1, 2, 3, evidence=REMOVED)]


def statuses(database: Database) -> list[str]:
    with database.connect() as conn:
        return [row[0] for row in conn.execute("select status from entries order by key").fetchall()]


def test_two_people_delete_several_keys(database: Database, items: list[str], ana: Person, rui: Person) -> None:
    page = ana.send("GET", "/bulk", params={"item": items})
    assert "Decide about 3 items together" in text_of(page)
    assert "3 of 3 items are done" in text_of(ana.do("/bulk", item=items, **DELETE))
    assert statuses(database) == ["ACTIVE"] * 3
    assert "Approve the deletions" in text_of(rui.send("GET", "/bulk", params={"item": items}))
    assert "3 of 3 items are done" in text_of(rui.do("/bulk", item=items, answer="approve", reason="agreed"))
    assert statuses(database) == ["DELETED"] * 3
    with database.connect() as conn:
        for item in items:
            told = [(step.step, step.done_by) for step in decisions.trail(conn, UUID(item))]
            assert told == [
                ("PUT_UP", told[0][1]),
                ("PROPOSED", ana.name),
                ("APPROVED", rui.name),
                ("CLOSED", rui.name),
            ]


def test_one_person_does_not(database: Database, items: list[str], ana: Person) -> None:
    ana.do("/bulk", item=items, **DELETE)
    answer = text_of(ana.do("/bulk", item=items, answer="approve", reason="me again"))
    assert "0 of 3 items are done" in answer
    assert answer.count("somebody else must approve it") == 3
    assert statuses(database) == ["ACTIVE"] * 3


def test_what_is_refused_does_not_hold_up_the_rest(database: Database, items: list[str], ana: Person) -> None:
    with database.connect() as conn:
        conn.execute("update entries set owner_name = 'Outra' where key like '%%2'")
    answer = text_of(ana.do("/bulk", item=items, **DELETE))
    assert "2 of 3 items are done" in answer
    assert answer.count("no longer what was put up for review") == 1


def test_only_what_belongs_together(database: Database, items: list[str], ana: Person) -> None:
    [unclear] = put_up(database, 4)
    for mixed in ([*items, str(unclear)], items):
        assert ana.do("/bulk", item=mixed, **DELETE).status_code == (409 if mixed is not items else 200)
    [waiting] = put_up(database, 5, evidence=REMOVED)
    assert ana.do("/bulk", item=[*items, str(waiting)], answer="approve", reason="x").status_code == 409
    assert statuses(database) == ["ACTIVE"] * 5


@pytest.mark.parametrize(
    ("chosen", "status"),
    [([], 400), (["x"], 400), ([str(UUID(int=n)) for n in range(51)], 400), ([str(UUID(int=1))], 404)],
)
def test_the_choice_is_checked(ana: Person, chosen: list[str], status: int) -> None:
    assert ana.send("GET", "/bulk", params={"item": chosen}).status_code == status
    assert ana.do("/bulk", item=chosen, **DELETE).status_code == status


def test_an_auditor_decides_about_nothing(database: Database, items: list[str], eva: Person) -> None:
    assert 'type="checkbox"' not in eva.get("/").text
    assert eva.do("/bulk", item=items, **DELETE).status_code == 403
    assert eva.post("/bulk", item=items, csrf="guessed", **DELETE).status_code == 403
    assert statuses(database) == ["ACTIVE"] * 3
