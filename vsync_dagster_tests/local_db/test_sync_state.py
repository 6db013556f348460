from dataclasses import replace
from datetime import UTC, datetime, timedelta

from vsync_dagster.local_db import sync_state
from vsync_dagster.local_db.database import Connection
from vsync_dagster.local_db.sync_state import SyncState
from vsync_dagster_tests.local_db.parts import ISPB, OTHER_ISPB

NOON = datetime(2026, 11, 24, 12, 0, 0, 123_000, tzinfo=UTC)
HOUR = timedelta(hours=1)
VERIFIED = SyncState(
    "CPF", NOON, b"\x01" * 32, [b"\x02" * 32, b"\x03" * 32], 5, NOON - HOUR, "10:20:10,14", "77/1", None, NOON, None
)


def record(conn: Connection, state: SyncState) -> None:
    assert state.verified_at is not None
    assert state.verified_vsync is not None
    assert state.entries is not None
    assert state.read_whole_at is not None
    sync_state.record_verified(
        conn,
        ISPB,
        state.key_type,
        verified_at=state.verified_at,
        vsync=state.verified_vsync,
        local_snapshot=state.local_snapshot or "",
        cluster=state.cluster or "",
        excluded_cids=state.excluded_cids,
        entries=state.entries,
        read_whole_at=state.read_whole_at,
    )


def test_nothing_is_known_at_first(conn: Connection) -> None:
    assert sync_state.get(conn, ISPB) == {}


def test_a_verification_comes_back_as_it_was(conn: Connection) -> None:
    record(conn, VERIFIED)
    assert sync_state.get(conn, ISPB) == {"CPF": VERIFIED}
    assert sync_state.get(conn, OTHER_ISPB) == {}


def test_a_later_verification_replaces_all_of_it(conn: Connection) -> None:
    record(conn, VERIFIED)
    later = SyncState("CPF", NOON + HOUR, b"\x09" * 32, [], 0, NOON, "30:30:", "77/2", None, NOON + HOUR, NOON + HOUR)
    record(conn, later)
    record(conn, VERIFIED)
    assert sync_state.get(conn, ISPB) == {"CPF": later}


def test_answers_and_positions_never_go_back(conn: Connection) -> None:
    for moment in (NOON, NOON + HOUR, NOON - HOUR):
        sync_state.record_answered(conn, ISPB, "CPF", moment)
        sync_state.record_log_position(conn, ISPB, "EVP", moment)
    unknown = SyncState("CPF", None, None, [], None, None, None, None, None, NOON + HOUR, None)
    assert sync_state.get(conn, ISPB) == {
        "CPF": unknown,
        "EVP": replace(unknown, key_type="EVP", log_read_to=NOON + HOUR, answered_at=None),
    }


def test_each_fact_leaves_the_others_alone(conn: Connection) -> None:
    record(conn, VERIFIED)
    sync_state.record_log_position(conn, ISPB, "CPF", NOON - HOUR)
    sync_state.record_answered(conn, ISPB, "CPF", NOON + HOUR)
    expected = replace(VERIFIED, log_read_to=NOON - HOUR, answered_at=NOON + HOUR)
    assert sync_state.get(conn, ISPB) == {"CPF": expected}
    record(conn, replace(VERIFIED, verified_at=NOON + HOUR / 2))
    assert sync_state.get(conn, ISPB)["CPF"].answered_at == NOON + HOUR


def test_the_last_true_ok_stays_when_later_ones_leave_keys_out(conn: Connection) -> None:
    record(conn, replace(VERIFIED, excluded_cids=[]))
    record(conn, replace(VERIFIED, verified_at=NOON + HOUR))
    state = sync_state.get(conn, ISPB)["CPF"]
    assert (state.true_ok_at, state.verified_at) == (NOON, NOON + HOUR)
