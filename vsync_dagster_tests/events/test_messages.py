"""What is published: CloudEvents attributes, and payloads in the words of the command line."""

import json
from datetime import UTC, date, datetime, timedelta, timezone
from uuid import UUID

from vsync_dagster.events.messages import ENTRY_UPDATED, message, sync_completed
from vsync_dagster.local_db.chains import KnownHead
from vsync_dagster.local_db.outbox import OutboxMessage
from vsync_dagster.local_db.reports import Report

CREATED_AT = datetime(2026, 11, 24, 3, 0, 1, 500_000, tzinfo=UTC)
EVENT = OutboxMessage(
    id=7,
    message_id=UUID("7d6f0a53-93a8-4d3a-9d35-2f3c54a3c5b1"),
    participant_ispb="00416968",
    event_type=ENTRY_UPDATED,
    payload={"run_id": "r", "cid": "ab"},
    created_at=CREATED_AT,
    attempts=0,
)
REPORT = Report(
    id=UUID("0f3c8a2e-52a4-4cf7-8a3e-6d1f7f1c9a10"),
    run_id="run-1",
    participant_ispb="00416968",
    sync_type="FULL",
    sync_day=date(2026, 11, 24),
    sync_timestamp=datetime(2026, 11, 24, 0, 0, tzinfo=timezone(timedelta(hours=-3))),
    duration_ms=1200,
    status="PARTIAL",
    error_message=None,
    dry_run=False,
    entries_synced=9,
    entries_created=1,
    entries_updated=2,
    entries_deleted=3,
    discrepancies=6,
    missing_local=1,
    outdated_local=2,
    missing_bacen=3,
    in_flight=4,
    fixes_failed=5,
    verified=True,
    pending=11,
    resume_at=datetime(2026, 11, 24, 6, tzinfo=UTC),
    plan={"tokens": {"CIDS_ENTRIES_READ": 11}, "granted": {"CIDS_ENTRIES_READ": 0}, "seconds": 0.0},
    key_types={"CPF": {"entries": 9, "before": "NOK", "source": "CID_FILE", "after": "OK", "under_review": 3}},
)


def test_the_properties_are_those_of_cloudevents() -> None:
    assert message(EVENT).properties == {
        "specversion": "1.0",
        "id": "7d6f0a53-93a8-4d3a-9d35-2f3c54a3c5b1",
        "source": "/vsync",
        "type": "vsync.entry.updated",
        "subject": "00416968",
        "time": "2026-11-24T03:00:01.500000Z",
        "datacontenttype": "application/json",
        "dataschema": "urn:vsync:entry:updated:1",
    }


def test_a_message_is_keyed_by_participant_and_timed_in_milliseconds() -> None:
    assert message(EVENT).key == "00416968"
    assert message(EVENT).event_time == 1_795_489_201_500


def test_the_data_are_the_payload_as_json() -> None:
    assert message(EVENT).data == b'{"cid":"ab","run_id":"r"}'


def test_a_report_is_told_in_the_words_of_the_command_line() -> None:
    payload = sync_completed(REPORT, [KnownHead("sync_reports", REPORT.participant_ispb, 7, b"\xab" * 32)])
    assert json.loads(json.dumps(payload)) == payload
    assert payload["report_id"] == str(REPORT.id)
    assert payload["sync_day"] == "2026-11-24"
    assert payload["sync_timestamp"] == "2026-11-24T03:00:00Z"
    assert payload["key_types"]["CPF"]["after"] == "OK"
    assert payload["chains"] == [
        {"table": "sync_reports", "participant_ispb": REPORT.participant_ispb, "number": 7, "hash": "ab" * 32}
    ]
    assert set(payload) == {"report_id", "chains", *Report.__slots__} - {"id"}
