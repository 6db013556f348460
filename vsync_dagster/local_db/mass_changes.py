"""Permits for syncs that change an unlikely share of the keys; the trail is append-only."""

from dataclasses import dataclass
from datetime import date

from vsync_dagster.local_db.database import Connection


@dataclass(frozen=True, slots=True)
class MassChange:
    """What one run was let do; `person` let it, and `reason` is their own words, without keys or names."""

    run_id: str
    participant_ispb: str
    sync_day: date
    changes: int
    participants_keys: int
    person: str
    reason: str


def record(conn: Connection, permit: MassChange) -> None:
    """Write down who let a run go on, and why; once a run."""
    conn.execute(
        """
        insert into mass_changes (run_id, participant_ispb, sync_day, changes, participants_keys, person, reason)
        values (%s, %s, %s, %s, %s, %s, %s) on conflict (run_id) do nothing
        """,
        [
            permit.run_id,
            permit.participant_ispb,
            permit.sync_day,
            permit.changes,
            permit.participants_keys,
            permit.person,
            permit.reason,
        ],
    )
