"""Deletes what need be kept no longer: a batch a transaction, in the order in which one thing leads to the next.

What may go is decided in the database (migration `retention`): reports and the steps of closed reviews after seven
years, looked-up entries when they expire, events some time after they were published, and alerts some time after they
were resolved. An open review item, an event that is not published, or an alert that stands never goes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from vsync_dagster.local_db.database import Connection, Database

BATCH_SIZE = 500

# An item goes after its steps.
_DELETE = {
    "looked_up_entries": "select delete_expired_lookups(%(batch)s)",
    "outbox": "select delete_published_events(%(batch)s, %(events)s)",
    "alerts": "select delete_resolved_alerts(%(batch)s, %(alerts)s)",
    "sync_reports": "select delete_due_reports(%(batch)s)",
    "dict_calls": "select delete_due_calls(%(batch)s)",
    "review_trail": "select delete_due_steps(%(batch)s)",
    "manual_review_queue": "select delete_due_items(%(batch)s)",
}
TABLES = tuple(_DELETE)


@dataclass(frozen=True, slots=True)
class KeptFor:
    """How long is kept what no rule gives a time for: events that were published, alerts that were resolved."""

    events: timedelta
    alerts: timedelta


@dataclass(frozen=True, slots=True)
class Deleted:
    """Rows of a table that are gone; those that went with a report are not counted."""

    table: str
    rows: int


def due(conn: Connection, kept_for: KeptFor) -> Mapping[str, int]:
    """Return how many rows of each table could be deleted now. Review items are counted once their steps are gone."""
    counted = conn.execute("select what, due from retention_due(%s, %s)", [kept_for.events, kept_for.alerts])
    return dict(counted.fetchall())


def delete(database: Database, kept_for: KeptFor, batch: int = BATCH_SIZE) -> Iterator[Deleted]:
    """Delete what is due, and yield table by table how much that was.

    Raises:
        DatabaseError: the login may not: it needs the role vsync_retention.
        TransientError: PostgreSQL failed; what was deleted by then stays so.
    """
    parameters = {"batch": batch, "events": kept_for.events, "alerts": kept_for.alerts}
    for table, statement in _DELETE.items():
        delete_batch = partial(_delete_batch, statement=statement, parameters=parameters)
        rows = 0
        while deleted := database.retrying(delete_batch, bulk=True):
            rows += deleted
        yield Deleted(table, rows)


def _delete_batch(conn: Connection, statement: str, parameters: Mapping[str, object]) -> int:
    row = conn.execute(statement.encode(), parameters).fetchone()
    return int(row[0]) if row else 0
