from dataclasses import astuple, replace
from datetime import UTC, datetime

from vsync_dagster.dict_api.calls import DictCall
from vsync_dagster.local_db import calls
from vsync_dagster.local_db.database import Connection
from vsync_dagster_tests.local_db.parts import ISPB, RUN, rows

NOON = datetime(2026, 11, 24, 12, 0, 0, 123_000, tzinfo=UTC)
CALL = DictCall("createSyncVerification", ISPB, "CPF", "ab" * 16, NOON, "42", 201, "OK", NOON, 17)


def test_calls_are_kept_as_they_were(conn: Connection) -> None:
    silent = replace(CALL, key_type=None, correlation_id=None, response_time=None, reference=None, http_status=None)
    calls.record(conn, RUN, [CALL, silent])
    calls.record(conn, None, [CALL])
    calls.record(conn, RUN, [])
    found = rows(
        conn,
        """
        select run_id, operation, participant_ispb, key_type, correlation_id, response_time, reference, http_status,
            result, called_at, duration_ms
        from dict_calls order by id
        """,
    )
    assert found == [(RUN, *astuple(CALL)), (RUN, *astuple(silent)), (None, *astuple(CALL))]
