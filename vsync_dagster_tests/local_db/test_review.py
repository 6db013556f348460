from dataclasses import replace
from uuid import UUID

import psycopg
import pytest

from vsync_dagster.local_db import chains, decisions, fixes, review
from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.local_db.fixes import FixResult
from vsync_dagster.local_db.review import ReviewItem, UnderReview
from vsync_dagster_tests.local_db.parts import ISPB, OTHER_ISPB, RUN, insert, make_entry, rows, value
from vsync_dagster_tests.logins import login_with

EVIDENCE = {"removed_at": "2026-01-02T03:04:05.678Z", "second_look": "NotFound"}


def item(conn: Connection, number: int) -> ReviewItem:
    """A row of that number, and what would be queued of it."""
    entry = make_entry(number)
    return ReviewItem(insert(conn, entry), "CPF", entry.cid(), "DICT does not hold it", EVIDENCE)


def test_a_row_is_queued_with_its_evidence(conn: Connection) -> None:
    first = item(conn, 1)
    assert review.queue(conn, RUN, ISPB, [first]) == [FixResult(first.cid, first.entry_id, "APPLIED", None)]
    [found] = review.open_items(conn)
    assert (found.participant_ispb, found.entry_id, found.key_type, found.cid) == (
        ISPB,
        first.entry_id,
        "CPF",
        first.cid,
    )
    assert (found.reason, found.status, found.evidence, found.run_id) == (first.reason, "PENDING", EVIDENCE, RUN)
    assert found.masked_key == "*********01"
    assert found.current
    assert make_entry(1).key not in repr(found)
    assert value(conn, "select key from manual_review_queue") == make_entry(1).key
    assert review.under_review(conn, ISPB) == [UnderReview("CPF", first.entry_id, first.cid)]
    assert fixes.outcomes(conn, RUN, ISPB) == {("REVIEW", "APPLIED"): 1}
    assert value(conn, "select count(*) from outbox") == 0


@pytest.mark.parametrize("status", ["PENDING", "KEPT"])
def test_one_open_item_a_key(conn: Connection, status: str) -> None:
    first = item(conn, 1)
    review.queue(conn, RUN, ISPB, [first])
    conn.execute("update manual_review_queue set status = %s", [status])
    [result] = review.queue(conn, "run-2", ISPB, [first])
    assert result.outcome == "ALREADY"
    assert [found.run_id for found in review.open_items(conn, ISPB)] == [RUN]
    assert fixes.outcomes(conn, "run-2", ISPB) == {}
    assert len(review.under_review(conn, ISPB)) == 1


def test_a_closed_item_makes_room_for_a_new_one(conn: Connection) -> None:
    first = item(conn, 1)
    review.queue(conn, RUN, ISPB, [first])
    conn.execute("update manual_review_queue set status = 'CLOSED'")
    assert review.under_review(conn, ISPB) == []
    assert review.open_items(conn) == []
    assert review.queue(conn, "run-2", ISPB, [first])[0].outcome == "APPLIED"
    assert value(conn, "select count(*) from manual_review_queue") == 2


MOVES = [
    "update entries set cid = sha256(cid)",
    "update entries set status = 'DELETED'",
    "update entries set participant_ispb = '12345678'",
    "delete from entries",
]


@pytest.mark.parametrize("change", MOVES)
def test_a_row_that_moved_is_not_queued(conn: Connection, change: str) -> None:
    first = item(conn, 1)
    conn.execute(change.encode())
    [result] = review.queue(conn, RUN, ISPB, [first])
    assert (result.outcome, result.error) == ("MOVED", "the row is no longer what was compared")
    assert value(conn, "select count(*) from manual_review_queue") == 0
    assert fixes.outcomes(conn, RUN, ISPB) == {("REVIEW", "MOVED"): 1}


@pytest.mark.parametrize("change", MOVES)
def test_a_row_that_moves_is_no_longer_under_review(conn: Connection, change: str) -> None:
    review.queue(conn, RUN, ISPB, [item(conn, 1)])
    conn.execute(change.encode())
    assert review.under_review(conn, ISPB) == []
    assert [found.current for found in review.open_items(conn)] == [False]


@pytest.mark.parametrize("status", ["PENDING", "KEPT"])
def test_an_item_of_the_row_as_it_was_makes_room(conn: Connection, status: str) -> None:
    """What was decided of another CID says nothing of this one."""
    first = item(conn, 1)
    review.queue(conn, RUN, ISPB, [first])
    conn.execute("update manual_review_queue set status = %s", [status])
    conn.execute("update entries set cid = sha256(cid)")
    changed = replace(first, cid=value(conn, "select cid from entries"))
    assert review.queue(conn, "run-2", ISPB, [changed])[0].outcome == "APPLIED"
    assert rows(conn, "select run_id, status, reviewed_at is null from manual_review_queue order by run_id") == [
        (RUN, "CLOSED", False),
        ("run-2", "PENDING", True),
    ]
    assert review.under_review(conn, ISPB) == [UnderReview("CPF", first.entry_id, changed.cid)]


def test_items_of_several_participants(conn: Connection) -> None:
    mine = item(conn, 1)
    other_entry = make_entry(2, participant=OTHER_ISPB)
    other = ReviewItem(insert(conn, other_entry), "CPF", other_entry.cid(), "reason", {})
    assert [r.outcome for r in review.queue(conn, RUN, ISPB, [mine, other])] == ["APPLIED", "MOVED"]
    assert review.queue(conn, RUN, OTHER_ISPB, [other])[0].outcome == "APPLIED"
    assert [found.entry_id for found in review.open_items(conn, OTHER_ISPB)] == [other.entry_id]
    assert len(review.open_items(conn)) == 2
    assert [found.entry_id for found in review.under_review(conn, ISPB)] == [mine.entry_id]


def test_many_items_keep_their_order(conn: Connection) -> None:
    items = [item(conn, n) for n in range(20)]
    lost = ReviewItem(UUID(int=7), "CPF", b"\x01" * 32, "reason", {})
    results = review.queue(conn, RUN, ISPB, [*items[:10], lost, *items[10:]])
    assert [result.outcome for result in results] == ["APPLIED"] * 10 + ["MOVED"] + ["APPLIED"] * 10
    assert [result.entry_id for result in results[11:]] == [queued.entry_id for queued in items[10:]]
    assert review.queue(conn, RUN, ISPB, []) == []


@pytest.mark.parametrize(
    ("key_type", "key", "masked"),
    [
        ("CPF", "12345678901", "*********01"),
        ("CNPJ", "12345678000195", "************95"),
        ("PHONE", "+5511987654321", "************21"),
        ("EVP", "123e4567-e89b-42d3-a456-426614174000", "*" * 34 + "00"),
        ("EMAIL", "fulano@example.com", "f***@e***.com"),
        ("EMAIL", "fulano@mail.example.com.br", "f***@m***.br"),
        ("EMAIL", "a@b", "***@***"),
        ("EMAIL", "a@b.com", "***@***.com"),
        ("EMAIL", "fulano@localhost", "f***@l***"),
        ("EMAIL", '"a@home"@example.com', '"***@e***.com'),
        ("EMAIL", "fulano@", "f***@***"),
        ("EMAIL", "not-an-address", "************ss"),
        ("SOMETHING_NEW", "abcdef", "****ef"),
        ("CPF", "1234", "****"),
        ("CPF", "", ""),
    ],
)
def test_masked_keys(conn: Connection, key_type: str, key: str, masked: str) -> None:
    assert value(conn, "select mask_key(%s, %s)", [key_type, key]) == masked


def test_whoever_sees_a_key_is_named_in_the_trail(conn: Connection, database: Database) -> None:
    review.queue(conn, RUN, ISPB, [item(conn, 1)])
    conn.commit()
    [found] = review.open_items(conn)
    assert review.show_key(database.connect, found.id) == make_entry(1).key
    seen = decisions.trail(conn, found.id)[-1]
    assert (seen.step, seen.reason, seen.done_by) == ("KEY_SHOWN", None, value(conn, "select session_user"))
    assert review.show_key(database.connect, UUID(int=1)) is None
    conn.commit()
    assert list(chains.verify(conn)) == []


@pytest.mark.parametrize(
    "attack",
    [
        "select review_show_key(%(item)s)",
        "select review_log_key_shown(%(item)s); select review_show_key(%(item)s)",
        "savepoint s; select review_log_key_shown(%(item)s); release s; select review_show_key(%(item)s)",
        "savepoint s; select review_log_key_shown(%(item)s); rollback to s; select review_show_key(%(item)s)",
        "with step as (select review_log_key_shown(%(item)s)) select review_show_key(%(item)s) from step",
    ],
    ids=["without a step", "same transaction", "savepoint", "savepoint rolled back", "one statement"],
)
def test_no_key_is_shown_before_its_step_is_committed(conn: Connection, database: Database, attack: str) -> None:
    review.queue(conn, RUN, ISPB, [item(conn, 1)])
    conn.commit()
    [found] = review.open_items(conn)
    with login_with(database, "vsync_compliance") as login, login.open() as theirs:
        with pytest.raises(psycopg.errors.RestrictViolation, match="commit"):
            psycopg.ClientCursor(theirs).execute(attack.encode(), {"item": found.id})
        theirs.rollback()
        assert [step.step for step in decisions.trail(conn, found.id)] == ["PUT_UP"]


def test_a_step_of_another_login_or_of_long_ago_shows_no_key(conn: Connection, database: Database) -> None:
    review.queue(conn, RUN, ISPB, [item(conn, 1)])
    conn.commit()
    [found] = review.open_items(conn)
    conn.execute("select review_log_key_shown(%s)", [found.id])
    conn.commit()
    with login_with(database, "vsync_compliance") as login, login.open() as theirs:
        with pytest.raises(psycopg.errors.RestrictViolation):
            theirs.execute("select review_show_key(%s)", [found.id])
        theirs.rollback()
    conn.execute("alter table review_trail disable trigger all")
    conn.execute("update review_trail set done_at = done_at - interval '2 minutes'")
    conn.commit()
    with pytest.raises(psycopg.errors.RestrictViolation):
        conn.execute("select review_show_key(%s)", [found.id])
