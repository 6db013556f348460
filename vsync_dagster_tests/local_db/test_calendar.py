"""Days in the database are São Paulo's, and the same as in `reconcile.calendar`."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

from vsync_dagster.local_db import decisions, metrics, review
from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.local_db.decisions import Decision
from vsync_dagster.local_db.review import ReviewItem
from vsync_dagster.reconcile.calendar import begin_of, day_of, end_of
from vsync_dagster_tests.local_db.parts import ISPB, RUN, insert, make_entry, value

LATE = datetime(2026, 11, 25, 2, 30, tzinfo=UTC)  # 23:30 of the 24th in São Paulo


@pytest.mark.parametrize("moment", [LATE, LATE + timedelta(minutes=29), LATE + timedelta(minutes=30)])
def test_both_calendars_name_the_same_day(conn: Connection, moment: datetime) -> None:
    assert value(conn, "select sync_day(%s)", [moment]) == day_of(moment)


def test_a_day_begins_and_ends_at_midnight_in_sao_paulo(conn: Connection) -> None:
    day = date(2026, 11, 24)
    assert value(conn, "select sync_day_begins(%s)", [day]) == begin_of(day) == datetime(2026, 11, 24, 3, tzinfo=UTC)
    assert end_of(day) == datetime(2026, 11, 25, 3, tzinfo=UTC)
    # Summer time began at midnight on that day: its first moment was one o'clock.
    assert end_of(date(2018, 11, 3)) == begin_of(date(2018, 11, 4)) == datetime(2018, 11, 4, 3, tzinfo=UTC)


@pytest.fixture
def late(database: Database) -> date:
    """Have it be late in the evening in São Paulo, tomorrow in UTC; return São Paulo's day."""
    with database.connect() as conn:
        conn.execute("create or replace function sync_today() returns date language sql as 'select current_date - 1'")
        today: date = value(conn, "select current_date - 1")
    return today


@pytest.fixture
def item_id(database: Database) -> UUID:
    with database.connect() as conn:
        entry = make_entry(1)
        review.queue(conn, RUN, ISPB, [ReviewItem(insert(conn, entry), "CPF", entry.cid(), "MISSING_BACEN", {})])
        return review.open_items(conn)[0].id


def test_after_nine_in_the_evening_until_tomorrow_is_taken(conn: Connection, item_id: UUID, late: date) -> None:
    decisions.decide(conn, item_id, Decision.KEEP, "asked the branch", ask_again_on=late + timedelta(days=1))
    assert value(conn, "select ask_again_on from manual_review_queue") == late + timedelta(days=1)


def test_an_item_is_not_asked_again_the_evening_before(conn: Connection, item_id: UUID, late: date) -> None:
    decisions.decide(conn, item_id, Decision.KEEP, "asked the branch", ask_again_on=late + timedelta(days=1))
    assert metrics.review_queues(conn) == []
    with pytest.raises(decisions.DecisionRefusedError, match="decided"):
        decisions.decide(conn, item_id, Decision.INVESTIGATE, "again", assignee="ana")
