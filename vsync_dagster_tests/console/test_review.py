"""The queue, an item, and what each role may do about it."""

import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from vsync_dagster.local_db import decisions
from vsync_dagster.local_db.database import Database
from vsync_dagster_tests.console.conftest import Clock
from vsync_dagster_tests.console.parts import REMOVED, Person, put_up, text_of
from vsync_dagster_tests.local_db.parts import ISPB, make_entry

KEY = make_entry(1).key
LATER = str(datetime.now(UTC).date() + timedelta(days=30))
DELETE = {"decision": "CONFIRM_DELETION", "reason": "DICT removed it"}


def status_of(database: Database) -> str:
    with database.connect() as conn:
        [(status,)] = conn.execute("select status from entries").fetchall()
    return str(status)


def steps(database: Database, item_id: UUID) -> list[tuple[str, str]]:
    with database.connect() as conn:
        return [(step.step, step.done_by) for step in decisions.trail(conn, item_id)]


def test_two_people_delete_a_key(database: Database, item_id: UUID, ana: Person, rui: Person) -> None:
    assert f"/items/{item_id}" in ana.get("/").text
    proposed = ana.do(f"/items/{item_id}/decision", **DELETE)
    assert (proposed.status_code, proposed.headers["location"]) == (303, f"/items/{item_id}")
    assert "Somebody else must approve the deletion." in text_of(ana.get(f"/items/{item_id}"))
    assert status_of(database) == "ACTIVE"

    page = rui.get(f"/items/{item_id}")
    assert f"Deletion proposed by {ana.name}" in text_of(page)
    assert "DICT removed it" in text_of(page)
    assert rui.do(f"/items/{item_id}/approval", answer="approve", reason="agreed").status_code == 303

    assert status_of(database) == "DELETED"
    assert [step for step in steps(database, item_id) if step[0] in ("PROPOSED", "APPROVED")] == [
        ("PROPOSED", ana.name),
        ("APPROVED", rui.name),
    ]
    closed = text_of(rui.get(f"/items/{item_id}"))
    assert "The key is deleted here." in closed
    assert "deletion approved" in closed
    assert f"/items/{item_id}" not in rui.get("/").text


def test_who_proposed_may_not_approve(database: Database, item_id: UUID, ana: Person) -> None:
    ana.do(f"/items/{item_id}/decision", **DELETE)
    assert "Approve the deletion" not in ana.get(f"/items/{item_id}").text
    answer = ana.do(f"/items/{item_id}/approval", answer="approve", reason="me again")
    assert answer.status_code == 409
    assert "somebody else must approve it" in text_of(answer)
    assert "me again" in answer.text, "what was typed is not lost"
    assert status_of(database) == "ACTIVE"


def test_a_proposal_is_taken_back(database: Database, item_id: UUID, ana: Person, rui: Person) -> None:
    ana.do(f"/items/{item_id}/decision", **DELETE)
    rui.do(f"/items/{item_id}/approval", answer="reject", reason="not sure")
    answer = rui.do(f"/items/{item_id}/approval", answer="approve", reason="late")
    assert "Nobody has proposed" in text_of(answer)
    assert status_of(database) == "ACTIVE"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"decision": "KEEP", "reason": "on its way", "until": LATER}, f"kept until a day until {LATER}"),
        ({"decision": "RE_REGISTER", "reason": "lost at DICT", "until": LATER}, f"kept until a day until {LATER}"),
        ({"decision": "INVESTIGATE", "reason": "ask", "assignee": "rui"}, "being investigated by rui"),
    ],
)
def test_other_decisions_take_one_person(item_id: UUID, ana: Person, fields: dict[str, str], told: str) -> None:
    assert ana.do(f"/items/{item_id}/decision", **fields).status_code == 303
    page = text_of(ana.get(f"/items/{item_id}"))
    assert told in page
    assert fields["reason"] in page


@pytest.mark.parametrize(
    ("fields", "status", "told"),
    [
        ({}, 400, "Choose a decision."),
        ({"decision": "DELETE_ALL", "reason": "x"}, 400, "Choose a decision."),
        ({"decision": "CONFIRM_DELETION"}, 409, "A decision needs a reason."),
        ({"decision": "KEEP", "reason": "x"}, 409, "Say on which day, after today"),
        ({"decision": "KEEP", "reason": "x", "until": "2020-01-01"}, 409, "Say on which day, after today"),
        ({"decision": "KEEP", "reason": "x", "until": "tomorrow"}, 400, "A day looks like"),
        ({"decision": "INVESTIGATE", "reason": "x"}, 409, "Say who investigates."),
    ],
)
def test_a_decision_says_all_it_must(
    database: Database, item_id: UUID, ana: Person, fields: dict[str, str], status: int, told: str
) -> None:
    answer = ana.do(f"/items/{item_id}/decision", **fields)
    assert (answer.status_code, told in text_of(answer)) == (status, True)
    assert [step for step, _ in steps(database, item_id)] == ["PUT_UP"]


def test_a_row_that_changed_is_not_decided_about(database: Database, item_id: UUID, ana: Person) -> None:
    with database.connect() as conn:
        conn.execute("update entries set owner_name = 'Outra'")
    answer = ana.do(f"/items/{item_id}/decision", **DELETE)
    assert (answer.status_code, "no longer what was put up" in text_of(answer)) == (409, True)


def test_an_auditor_looks_and_does_not_decide(database: Database, item_id: UUID, ana: Person, eva: Person) -> None:
    ana.do(f"/items/{item_id}/decision", **DELETE)
    page = eva.get(f"/items/{item_id}")
    assert "DICT removed it" in page.text
    assert "<form" not in page.text.split("<main", 1)[1], "nothing to do for her"
    for path, fields in (("decision", DELETE), ("approval", {"answer": "approve", "reason": "x"}), ("key", {})):
        answer = eva.do(f"/items/{item_id}/{path}", **fields)
        assert (answer.status_code, "does not have the right" in text_of(answer)) == (403, True), path
    assert status_of(database) == "ACTIVE"
    assert [step for step, _ in steps(database, item_id)] == ["PUT_UP", "PROPOSED"]


def test_keys_are_masked_until_somebody_asks_and_that_is_told(
    database: Database, item_id: UUID, ana: Person, rui: Person
) -> None:
    for path in ("/", f"/items/{item_id}"):
        page = ana.get(path)
        assert KEY not in page.text
        assert "*********01" in page.text
    assert KEY in ana.do(f"/items/{item_id}/key").text
    assert steps(database, item_id)[-1] == ("KEY_SHOWN", ana.name)
    assert KEY not in ana.get(f"/items/{item_id}").text
    assert f"key shown {ana.name}" in text_of(rui.get(f"/items/{item_id}"))


@pytest.mark.parametrize("path", ["decision", "approval", "key"])
@pytest.mark.parametrize("token", [None, "", "guessed"])
def test_a_form_from_elsewhere_does_nothing(
    database: Database, item_id: UUID, ana: Person, rui: Person, path: str, token: str | None
) -> None:
    fields = DELETE | {"answer": "approve", "csrf": rui.csrf if token is None else token}
    answer = ana.post(f"/items/{item_id}/{path}", **fields)
    assert (answer.status_code, "not from this session" in text_of(answer)) == (403, True)
    assert [step for step, _ in steps(database, item_id)] == ["PUT_UP"]


def test_what_people_type_is_text(item_id: UUID, ana: Person) -> None:
    reason = '<script>alert("{{ 7 * 7 }}")</script> {0}'
    ana.do(f"/items/{item_id}/decision", **DELETE | {"reason": reason})
    page = ana.get(f"/items/{item_id}")
    assert "<script>alert" not in page.text
    assert reason in re.sub("&[a-z0-9#]+;", lambda part: {"&lt;": "<", "&gt;": ">"}.get(part[0], '"'), page.text)
    assert "Banco &lt;Exemplo&gt;" in ana.get("/").text


def test_forms_have_limits(item_id: UUID, ana: Person) -> None:
    assert ana.do(f"/items/{item_id}/decision", reason="x" * 300_000).status_code == 413
    assert ana.send("POST", "/logout", content=b"a=%ff").status_code == 400
    assert ana.send("POST", "/logout", content=b"a&" * 3_000).status_code == 400


def test_there_is_no_such_item(ana: Person) -> None:
    nowhere = UUID(int=1)
    assert ana.get(f"/items/{nowhere}").status_code == 404
    assert ana.do(f"/items/{nowhere}/key").status_code == 404
    assert ana.do(f"/items/{nowhere}/decision", **DELETE).status_code == 404


def test_the_queue_is_filtered_counted_and_sorted(database: Database, ana: Person, clock: Clock) -> None:
    removed, kept = put_up(database, 1, 2, evidence=REMOVED)
    [unclear] = put_up(database, 3)
    ana.do(f"/items/{kept}/decision", decision="KEEP", reason="r", until=LATER)
    with database.connect() as conn:
        conn.execute("update manual_review_queue set created_at = now() - interval '2 days' where id = %s", [removed])

    def shown(query: str) -> list[UUID]:
        return [UUID(found) for found in re.findall(r'href="/items/([0-9a-f-]+)"', ana.get(f"/?{query}").text)]

    assert shown("")[0] == removed
    assert shown("order=newest+first")[-1] == removed
    assert set(shown("suggestion=CONFIRM_DELETION")) == {removed, kept}
    assert shown("suggestion=CONFIRM_DELETION&state=WAITING") == [removed]
    assert shown("suggestion=INVESTIGATE") == [unclear]
    assert shown("state=KEPT") == [kept]
    assert shown("age=1+to+3+days") == [removed]
    assert len(shown(f"participant={ISPB}&key_type=CPF")) == 3
    assert shown("participant=99999999") == shown("key_type=EVP") == shown("state=x") == []
    counted = text_of(ana.get("/"))
    assert "under 24 hours 2 1 to 3 days 1 3 to 7 days 0" in counted
    assert "suggestion: delete the key here 2" in counted
    assert counted.count("open for: 1 to 3 days") == counted.count("open for:") == 1, "it stands out, also in its row"

    clock.seconds += 31 * 86_400
    ana.log_in()
    assert kept in shown("state=WAITING"), "asked again"


def test_a_long_queue_has_pages(database: Database, ana: Person) -> None:
    put_up(database, *range(1, 62))
    first, second = ana.get("/"), ana.get("/?page=2")
    assert (first.text.count('href="/items/'), second.text.count('href="/items/')) == (50, 11)
    assert "page 2 of 2" in text_of(second)
    assert ana.get("/?page=99").text.count('href="/items/') == 11
    assert ana.get("/?page=-1").status_code == 200
