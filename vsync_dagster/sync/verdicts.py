"""Writing DICT's verdicts down: the clocks of the 36-hour rule, and where the next sync may start from."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from vsync_dagster.local_db import sync_state
from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.sync.verification import LocalSet, Verdict


def record_verdicts(
    database: Database,
    ispb: str,
    verdicts: Iterable[Verdict],
    sets: Mapping[str, LocalSet],
    pg_snapshot: str,
    cluster: str,
) -> None:
    """Record that DICT answered, and for each OK to which of our sets and in which snapshot of our database."""
    verdicts = list(verdicts)

    def write(connection: Connection) -> None:
        for verdict in verdicts:
            sync_state.record_answered(connection, ispb, verdict.key_type, verdict.answered_at)
            if verdict.verified_vsync is not None:
                sync_state.record_verified(
                    connection,
                    ispb,
                    verdict.key_type,
                    verified_at=verdict.answered_at,
                    vsync=verdict.verified_vsync,
                    local_snapshot=pg_snapshot,
                    cluster=cluster,
                    excluded_cids=sorted(verdict.taken_out),
                    entries=sets[verdict.key_type].entries,
                    read_whole_at=sets[verdict.key_type].read_whole_at,
                )

    database.retrying(write)


def record_answers(database: Database, ispb: str, verdicts: Iterable[Verdict]) -> None:
    """Record that DICT answered about a set that may be ours no more: what it answered sets no other clock."""
    verdicts = list(verdicts)

    def write(connection: Connection) -> None:
        for verdict in verdicts:
            sync_state.record_answered(connection, ispb, verdict.key_type, verdict.answered_at)

    database.retrying(write)


def record_log_positions(database: Database, ispb: str, read_to: Mapping[str, datetime]) -> None:
    """Record how far DICT's event log was read, by key type and DICT's clock."""

    def write(connection: Connection) -> None:
        for key_type, time in read_to.items():
            sync_state.record_log_position(connection, ispb, key_type, time)

    database.retrying(write)
