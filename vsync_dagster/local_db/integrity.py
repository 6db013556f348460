"""Rows that were changed beneath their CID: how many the last FULL sync of a participant has found."""

from vsync_dagster.local_db.database import Connection

_RECORD = """
insert into integrity_checks (participant_ispb, run_id, tampered) values (%s, %s, %s)
on conflict (participant_ispb) do update
set run_id = excluded.run_id, checked_at = excluded.checked_at, tampered = excluded.tampered
"""
_FOUND_BY = "select tampered from integrity_checks where run_id = %s"


def record(conn: Connection, ispb: str, run_id: str, tampered: int) -> None:
    """Write down, in the caller's transaction, how many rows no longer hash to the CID beside them."""
    conn.execute(_RECORD, [ispb, run_id, tampered])


def found_by(conn: Connection, run_id: str) -> int | None:
    """Return how many such rows a run has found; None where it did not look."""
    row = conn.execute(_FOUND_BY, [run_id]).fetchone()
    return row[0] if row else None
