"""Which CID set file was asked for: one costs one of 40 a day, and DICT lists none."""

from dataclasses import dataclass
from datetime import date, datetime

from psycopg.rows import class_row

from vsync_dagster.local_db.database import Connection


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file that was asked for and not used up yet. `requested_at` is DICT's time."""

    file_id: int
    requested_at: datetime


def keep(conn: Connection, ispb: str, key_type: str, sync_day: date, file_id: int, requested_at: datetime) -> None:
    """Keep a file's id, as the one open file of that participant, key type and day; one before it is closed."""
    close(conn, ispb, key_type, sync_day)
    conn.execute(
        """
        insert into cid_files (participant_ispb, key_type, sync_day, file_id, requested_at)
        values (%s, %s, %s, %s, %s)
        on conflict (participant_ispb, key_type, sync_day, file_id) do update set closed_at = null
        """,
        [ispb, key_type, sync_day, file_id, requested_at],
    )


def open_file(conn: Connection, ispb: str, key_type: str, sync_day: date) -> OpenFile | None:
    """Return the open file, if there is one: to be used instead of asking for another."""
    with conn.cursor(row_factory=class_row(OpenFile)) as cursor:
        return cursor.execute(
            """
            select file_id, requested_at from cid_files
            where participant_ispb = %s and key_type = %s and sync_day = %s and closed_at is null
            """,
            [ispb, key_type, sync_day],
        ).fetchone()


def close(conn: Connection, ispb: str, key_type: str, sync_day: date) -> None:
    """Close the open file, because it was compared or because DICT could not make it."""
    conn.execute(
        """
        update cid_files set closed_at = now()
        where participant_ispb = %s and key_type = %s and sync_day = %s and closed_at is null
        """,
        [ispb, key_type, sync_day],
    )
