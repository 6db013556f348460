"""What is published: one JSON object an event, described by the attributes of CloudEvents 1.0.

The attributes are the message's properties. Nothing in an event is personal: entries are named by id and CID, a sync
by its counts. An event may arrive more than once, then with the same `id`; the events of one participant arrive in the
order in which they happened. Source: CloudEvents specification 1.0.2, section "Context attributes".
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

from vsync_dagster.local_db.chains import KnownHead
from vsync_dagster.local_db.outbox import OutboxMessage
from vsync_dagster.local_db.reports import Report

ENTRY_CREATED = "vsync.entry.created"
ENTRY_UPDATED = "vsync.entry.updated"
ENTRY_DELETED = "vsync.entry.deleted"
SYNC_COMPLETED = "vsync.sync.completed"
TYPES = (ENTRY_CREATED, ENTRY_UPDATED, ENTRY_DELETED, SYNC_COMPLETED)

SOURCE = "/vsync"
# Of the payloads, by type; raised when a field goes or changes its meaning.
SCHEMA_VERSIONS = {ENTRY_CREATED: 1, ENTRY_UPDATED: 1, ENTRY_DELETED: 1, SYNC_COMPLETED: 2}


@dataclass(frozen=True, slots=True)
class Message:
    """A message as Pulsar takes it. `key` is the participant's ISPB; `event_time` is in milliseconds since 1970."""

    data: bytes
    properties: dict[str, str]
    key: str
    event_time: int


def message(event: OutboxMessage) -> Message:
    """Return the message that publishes an event of the outbox; the same event always makes the same message."""
    return Message(
        data=json.dumps(event.payload, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode("utf-8"),
        properties={
            "specversion": "1.0",
            "id": str(event.message_id),
            "source": SOURCE,
            "type": event.event_type,
            "subject": event.participant_ispb,
            "time": _utc(event.created_at),
            "datacontenttype": "application/json",
            "dataschema": f"urn:{event.event_type.replace('.', ':')}:{SCHEMA_VERSIONS[event.event_type]}",
        },
        key=event.participant_ispb,
        event_time=int(event.created_at.timestamp() * 1000),
    )


def payload_schema(event_type: str) -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of a type's payloads, in their present version."""
    path = files("vsync_dagster.events") / "schemas" / f"{event_type}.{SCHEMA_VERSIONS[event_type]}.json"
    schema: dict[str, Any] = json.loads(path.read_bytes())
    return schema


def sync_completed(report: Report, heads: Sequence[KnownHead]) -> dict[str, Any]:
    """Return the payload that tells of a report, whatever its status: the words of `vsync sync --json`.

    Args:
        report: the report, as it is written.
        heads: of the participant's chains, the report's own hash included; in the words of `verify-chain --json`.
    """
    return {
        "report_id": str(report.id),
        "run_id": report.run_id,
        "participant_ispb": report.participant_ispb,
        "sync_type": report.sync_type,
        "sync_day": report.sync_day.isoformat(),
        "sync_timestamp": _utc(report.sync_timestamp),
        "duration_ms": report.duration_ms,
        "status": report.status,
        "error_message": report.error_message,
        "dry_run": report.dry_run,
        "entries_synced": report.entries_synced,
        "entries_created": report.entries_created,
        "entries_updated": report.entries_updated,
        "entries_deleted": report.entries_deleted,
        "discrepancies": report.discrepancies,
        "missing_local": report.missing_local,
        "outdated_local": report.outdated_local,
        "missing_bacen": report.missing_bacen,
        "in_flight": report.in_flight,
        "fixes_failed": report.fixes_failed,
        "verified": report.verified,
        "pending": report.pending,
        "resume_at": report.resume_at and _utc(report.resume_at),
        "plan": report.plan and dict(report.plan),
        "key_types": dict(report.key_types),
        "compared_by": report.compared_by,
        "compared_at": report.compared_at and _utc(report.compared_at),
        "repaired_by": report.repaired_by,
        "repaired_at": report.repaired_at and _utc(report.repaired_at),
        "chains": [
            {
                "table": head.table_name,
                "participant_ispb": head.participant_ispb,
                "number": head.number,
                "hash": head.hash.hex(),
            }
            for head in heads
        ],
    }


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
