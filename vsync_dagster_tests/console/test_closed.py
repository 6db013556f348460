"""The items that are done with, as an auditor looks for them years later."""

import re
from uuid import UUID

import pytest
from starlette.applications import Starlette

from vsync_dagster.local_db import participants, review
from vsync_dagster.local_db.database import Database
from vsync_dagster.reconcile.calendar import day_of
from vsync_dagster_tests.console.conftest import Clock
from vsync_dagster_tests.console.parts import Browser, Person, put_up, text_of
from vsync_dagster_tests.local_db.parts import ISPB, OTHER_ISPB, make_entry

DELETED, RETURNED, CHANGED, TAKEN_BACK, OPEN = range(1, 6)


@pytest.fixture
def items(database: Database, ana: Person, rui: Person) -> dict[int, UUID]:
    """An item of each outcome, one whose proposal was taken back, and one that is open."""
    ids = dict(zip(range(1, 6), put_up(database, *range(1, 6)), strict=True))
    for number in (DELETED, TAKEN_BACK):
        ana.do(f"/items/{ids[number]}/decision", decision="CONFIRM_DELETION", reason="DICT removed <it>")
    rui.do(f"/items/{ids[DELETED]}/approval", answer="approve", reason="seen in the log")
    rui.do(f"/items/{ids[TAKEN_BACK]}/approval", answer="reject", reason="no")
    ana.do(f"/items/{ids[RETURNED]}/decision", decision="INVESTIGATE", assignee="rui", reason="unclear")
    with database.connect() as conn:
        conn.execute("update entries set owner_name = 'X', cid = sha256('x') where key = %s", [make_entry(CHANGED).key])
        conn.commit()
        returned = [make_entry(RETURNED).cid(), make_entry(TAKEN_BACK).cid()]
        assert review.close_answered(conn, ISPB, returned) == 3
    return ids


def shown(person: Person, query: str = "") -> list[UUID]:
    return [UUID(found) for found in re.findall(r'href="/items/([0-9a-f-]+)"', person.get(f"/closed{query}").text)]


def row_of(person: Person, item_id: UUID) -> str:
    row = next(row for row in person.get("/closed").text.split("<tr>") if str(item_id) in row)
    return " ".join(re.sub(r"<[^>]+>", " ", row).split())


def test_each_tells_how_it_ended_who_decided_and_why(
    items: dict[int, UUID], ana: Person, rui: Person, eva: Person
) -> None:
    assert set(shown(eva)) == {items[number] for number in (DELETED, RETURNED, CHANGED, TAKEN_BACK)}
    deleted = row_of(eva, items[DELETED])
    assert f"deleted here {ana.name}: delete the key here DICT removed &lt;it&gt; {rui.name} seen in the log" in deleted
    assert "*********01" in deleted
    assert f"DICT holds the key again {ana.name}: investigate unclear -" in row_of(eva, items[RETURNED])
    assert "DICT holds the key again - -" in row_of(eva, items[TAKEN_BACK]), "what was taken back is no decision"
    assert "the row has changed since - -" in row_of(eva, items[CHANGED])
    assert make_entry(DELETED).key not in eva.get("/closed").text


def test_it_leads_from_the_queue_to_the_history_and_back(items: dict[int, UUID], eva: Person) -> None:
    assert 'href="/closed"' in eva.get("/").text
    page = eva.get(f"/items/{items[DELETED]}").text
    assert 'href="/closed"' in page
    assert 'href="/closed"' not in eva.get(f"/items/{items[OPEN]}").text.split("<main", 1)[1]


def test_it_is_filtered(database: Database, items: dict[int, UUID], eva: Person, clock: Clock) -> None:
    with database.connect() as conn:
        participants.add(conn, OTHER_ISPB)
    today = day_of(clock.now())
    assert shown(eva, "?outcome=deleted+here") == [items[DELETED]]
    assert set(shown(eva, "?outcome=closed+by+a+sync%3A+DICT+holds+the+key+again")) == {
        items[RETURNED], items[TAKEN_BACK],
    }  # fmt: skip
    assert len(shown(eva, f"?participant={ISPB}")) == 4
    assert shown(eva, f"?participant={OTHER_ISPB}") == shown(eva, "?outcome=x") == []
    assert len(shown(eva, f"?from={today}&to={today}")) == 4
    assert shown(eva, "?from=2020-01-01&to=2020-12-31") == []
    clock.seconds += 32 * 86_400
    eva.log_in()
    assert shown(eva) == [], "a month unless asked for more"
    assert "No item was closed in these days." in text_of(eva.get("/closed"))
    assert len(shown(eva, f"?from={today}")) == 4


@pytest.mark.parametrize("query", ["?from=x&to=&page=x", "?from=0001-01-01&to=9999-12-31&page=99999999"])
def test_odd_days_and_pages_are_no_error(eva: Person, query: str) -> None:
    assert eva.get(f"/closed{query}").status_code == 200


def test_a_long_list_has_pages(database: Database, eva: Person) -> None:
    put_up(database, *range(1, 62))
    with database.connect() as conn:
        conn.execute("update manual_review_queue set status = 'CLOSED', action_taken = 'deleted here'")
    first, second = shown(eva), shown(eva, "?page=2")
    assert (len(first), len(second), len({*first, *second})) == (50, 11, 61)
    assert 'rel="next"' in eva.get("/closed").text
    assert 'rel="next"' not in eva.get("/closed?page=2").text


def test_it_is_for_who_is_logged_in(app: Starlette) -> None:
    assert Browser(app).get("/closed").headers["location"] == "/login"
