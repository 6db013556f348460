"""What people decide, as the logins they have; and what nobody may do, by trying."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from vsync_dagster.local_db import decisions, review
from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.local_db.decisions import Decision, DecisionRefusedError
from vsync_dagster.local_db.errors import DatabaseError
from vsync_dagster.local_db.review import ReviewItem
from vsync_dagster_tests.local_db.parts import ISPB, RUN, insert, make_entry, rows, value
from vsync_dagster_tests.logins import login_with

LATER = datetime.now(UTC).date() + timedelta(days=30)


@pytest.fixture
def item_id(database: Database) -> UUID:
    """An item put up for review."""
    with database.connect() as conn:
        entry = make_entry(1)
        review.queue(conn, RUN, ISPB, [ReviewItem(insert(conn, entry), "CPF", entry.cid(), "MISSING_BACEN", {})])
        return review.open_items(conn)[0].id


@pytest.fixture
def ana(database: Database) -> Iterator[Database]:
    with login_with(database, "vsync_compliance") as login:
        yield login


@pytest.fixture
def rui(database: Database) -> Iterator[Database]:
    with login_with(database, "vsync_compliance") as login:
        yield login


def propose(person: Database, item_id: UUID) -> None:
    with person.connect() as conn:
        decisions.decide(conn, item_id, Decision.CONFIRM_DELETION, "DICT removed it")


def refused(person: Database, item_id: UUID, match: str, decision: Decision | None = None) -> None:
    def attempt(conn: Connection) -> None:
        if decision is None:
            decisions.approve(conn, item_id, "agreed")
        else:
            decisions.decide(conn, item_id, decision, "because", ask_again_on=LATER, assignee="ana")

    with person.connect() as conn, pytest.raises(DecisionRefusedError, match=match):
        attempt(conn)


def test_two_people_delete_a_key(conn: Connection, item_id: UUID, ana: Database, rui: Database) -> None:
    propose(ana, item_id)
    assert value(conn, "select status from entries") == "ACTIVE"
    conn.commit()
    with rui.connect() as connection:
        decisions.approve(connection, item_id, "agreed")

    assert value(conn, "select status from entries") == "DELETED"
    [deleted] = rows(conn, "select xid from cid_events where event_type = 'REMOVED'")
    assert rows(
        conn, "select event_type, xmin::text = (%s::text::numeric %% 4294967296)::text from outbox", deleted
    ) == [("vsync.entry.deleted", True)], "in the transaction of the CID event"
    assert make_entry(1).key not in str(rows(conn, "select payload from outbox"))
    steps = decisions.trail(conn, item_id)
    assert [step.step for step in steps] == ["PUT_UP", "PROPOSED", "APPROVED", "CLOSED"]
    assert steps[1].done_by in ana.url
    assert steps[2].done_by in rui.url
    refused(ana, item_id, "not open")
    refused(ana, item_id, "not open", Decision.KEEP)


def test_one_person_does_not(conn: Connection, item_id: UUID, ana: Database) -> None:
    refused(ana, item_id, "nobody has proposed")
    propose(ana, item_id)
    refused(ana, item_id, "somebody else")
    assert value(conn, "select status from entries") == "ACTIVE"


def test_not_even_the_owner_signs_for_two(conn: Connection, item_id: UUID) -> None:
    step = "insert into review_trail (item_id, step, reason, done_by) values (%s, %s, 'r', 'somebody')"
    rows_before = "select done_by = session_user from review_trail where step = 'PROPOSED'"
    conn.execute(step.encode(), [item_id, "PROPOSED"])
    assert value(conn, rows_before), "whoever it was said to be"
    with pytest.raises(Exception, match="two people"):
        conn.execute(step.encode(), [item_id, "APPROVED"])


@pytest.mark.parametrize("change", ["update entries set cid = sha256(cid)", "update entries set status = 'PENDING'"])
def test_an_item_from_before_there_were_digests_is_known_by_its_cid(
    conn: Connection, item_id: UUID, ana: Database, change: str
) -> None:
    conn.execute("update manual_review_queue set entry_digest = null")
    conn.execute(change.encode())
    conn.commit()
    refused(ana, item_id, "no longer what was put up", Decision.CONFIRM_DELETION)


def test_a_rejected_proposal_waits_again(conn: Connection, item_id: UUID, ana: Database, rui: Database) -> None:
    propose(ana, item_id)
    with rui.connect() as connection:
        decisions.reject(connection, item_id, "not yet")
    refused(rui, item_id, "nobody has proposed")
    propose(rui, item_id)
    with ana.connect() as connection:
        decisions.approve(connection, item_id, "agreed")
    assert value(conn, "select status from entries") == "DELETED"


@pytest.mark.parametrize(
    "change", ["update entries set cid = sha256(cid)", "update entries set owner_name = 'Outra'", "delete from entries"]
)
def test_a_row_that_changed_is_not_deleted(
    conn: Connection, item_id: UUID, ana: Database, rui: Database, change: str
) -> None:
    propose(ana, item_id)
    conn.execute(change.encode())
    conn.commit()
    refused(rui, item_id, "no longer what was put up")
    assert value(conn, "select count(*) from outbox") == 0
    assert rows(conn, "select status from entries where status = 'DELETED'") == []


@pytest.mark.parametrize("decision", [Decision.KEEP, Decision.RE_REGISTER])
def test_what_is_kept_stays_in_the_proof_until_it_is_asked_again(
    conn: Connection, item_id: UUID, ana: Database, rui: Database, decision: Decision
) -> None:
    with ana.connect() as connection:
        decisions.decide(connection, item_id, decision, "on its way", ask_again_on=LATER)
    refused(rui, item_id, "decided already", Decision.INVESTIGATE)
    assert len(review.under_review(conn, ISPB)) == 1
    [found] = review.open_items(conn)
    assert (found.status, found.decision, found.ask_again_on) == ("KEPT", decision, LATER)
    exported = [entry.item_id for entry in decisions.to_re_register(conn)]
    assert exported == ([item_id] if decision is Decision.RE_REGISTER else [])
    conn.execute("update manual_review_queue set ask_again_on = sync_today()")
    conn.commit()
    propose(rui, item_id)


def test_an_investigation_is_assigned_and_ends_in_a_decision(conn: Connection, item_id: UUID, ana: Database) -> None:
    with ana.connect() as connection:
        decisions.decide(connection, item_id, Decision.INVESTIGATE, "ask Bacen", assignee="rui")
    assert review.open_items(conn)[0].assignee == "rui"
    propose(ana, item_id)


@pytest.mark.parametrize(
    ("decision", "reason", "match"),
    [
        (Decision.CONFIRM_DELETION, " ", "reason"),
        (Decision.KEEP, "r", "on which day"),
        (Decision.RE_REGISTER, "r", "on which day"),
        (Decision.INVESTIGATE, "r", "who investigates"),
    ],
)
def test_a_decision_says_all_it_must(item_id: UUID, ana: Database, decision: Decision, reason: str, match: str) -> None:
    with ana.connect() as conn, pytest.raises(DecisionRefusedError, match=match):
        decisions.decide(conn, item_id, decision, reason)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("update review_trail set reason = 'x'", "append-only"),
        ("delete from review_trail", "keeps a row for seven years"),
        ("truncate review_trail", "append-only"),
    ],
)
def test_the_trail_is_append_only_for_its_owner_too(conn: Connection, item_id: UUID, change: str, why: str) -> None:
    with pytest.raises(Exception, match=why):
        conn.execute(change.encode())


@pytest.mark.parametrize("role", ["vsync_application", "vsync_auditor"])
def test_only_compliance_decides(database: Database, item_id: UUID, role: str) -> None:
    with login_with(database, role) as login:
        with pytest.raises(DatabaseError, match="42501"):
            propose(login, item_id)
        with pytest.raises(DatabaseError, match="42501"), login.connect() as conn:
            decisions.approve(conn, item_id, "agreed")


@pytest.mark.parametrize(
    "statement",
    [
        "insert into review_trail (item_id, step) select id, 'APPROVED' from manual_review_queue",
        "update manual_review_queue set decision = 'CONFIRM_DELETION', reviewed_by = 'somebody'",
        "update entries set status = 'DELETED'",
        "delete from entries",
        "delete from manual_review_queue",
    ],
)
def test_compliance_goes_no_other_way(item_id: UUID, ana: Database, statement: str) -> None:
    with pytest.raises(DatabaseError, match="42501"), ana.connect() as conn:
        conn.execute(statement.encode())


def test_an_item_whose_key_is_back_closes_and_says_why(conn: Connection, item_id: UUID) -> None:
    assert review.close_answered(conn, ISPB, []) == 0
    assert review.close_answered(conn, ISPB, [make_entry(1).cid()]) == 1
    assert decisions.trail(conn, item_id)[-1].reason == "closed by a sync: DICT holds the key again"


def test_an_item_whose_row_changed_closes_and_says_why(conn: Connection, item_id: UUID) -> None:
    conn.execute("update entries set cid = sha256(cid)")
    assert review.close_answered(conn, ISPB, []) == 1
    assert decisions.trail(conn, item_id)[-1].reason == "closed by a sync: the row has changed since"


def test_a_write_that_changes_nothing_but_its_time_leaves_the_item_decidable(
    conn: Connection, item_id: UUID, ana: Database, rui: Database
) -> None:
    conn.execute("update entries set updated_at = now() + interval '1 second'")
    assert review.close_answered(conn, ISPB, []) == 0
    conn.commit()
    propose(ana, item_id)
    with rui.connect() as connection:
        decisions.approve(connection, item_id, "agreed")


def test_a_change_that_leaves_the_cid_closes_the_item_and_a_new_one_is_made(
    database: Database, conn: Connection, item_id: UUID, ana: Database
) -> None:
    conn.execute("update entries set owner_type = 'LEGAL_PERSON'")
    conn.commit()
    refused(ana, item_id, "no longer what was put up", Decision.KEEP)
    with login_with(database, "vsync_application") as login, login.connect() as application:
        assert review.close_answered(application, ISPB, []) == 1
    [(entry_id, cid)] = rows(conn, "select entry_id, cid from entries")
    review.queue(conn, RUN, ISPB, [ReviewItem(entry_id, "CPF", cid, "MISSING_BACEN", {})])
    conn.commit()
    [again] = review.open_items(conn)
    assert again.id != item_id
    propose(ana, again.id)


def test_thousands_of_items_are_closed_in_transactions_of_bounded_size(conn: Connection) -> None:
    count = 2 * review.CLOSED_AT_ONCE + 1
    entries = [make_entry(number) for number in range(count)]
    items = [ReviewItem(insert(conn, entry), "CPF", entry.cid(), "MISSING_BACEN", {}) for entry in entries]
    review.queue(conn, RUN, ISPB, items)
    conn.execute("delete from entries")
    closed: list[int] = []
    while not closed or closed[-1] == review.CLOSED_AT_ONCE:
        closed.append(review.close_answered(conn, ISPB, []))
        conn.commit()
    assert closed == [review.CLOSED_AT_ONCE, review.CLOSED_AT_ONCE, 1]
    assert review.open_items(conn) == []
