"""The sync report: what was found, what was done, and what was proved."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import polars as pl

from vsync_dagster.events.messages import SYNC_COMPLETED, sync_completed
from vsync_dagster.local_db import cid_files, outbox, reports
from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.local_db.reports import Report
from vsync_dagster.partitions import SyncPartition
from vsync_dagster.reconcile.discrepancies import Kind
from vsync_dagster.reconcile.keys import KeyType
from vsync_dagster.reconcile.status import Proof, Source, Status, SyncType, decide

_KEY_TYPE_FIELDS = ("entries", "before", "source", "after", "proof", "under_review")


@dataclass(frozen=True, slots=True)
class RunFacts:
    """Which run a report is about, and when it started and ended."""

    report_id: UUID
    run_id: str
    partition: SyncPartition
    sync_type: SyncType
    started_at: datetime
    ended_at: datetime
    dry_run: bool

    @property
    def duration_ms(self) -> int:
        """How long the run took, in milliseconds."""
        return (self.ended_at - self.started_at) // timedelta(milliseconds=1)

    def fields(self) -> dict[str, Any]:
        """Return what every report says of its run."""
        return {
            "id": self.report_id,
            "run_id": self.run_id,
            "participant_ispb": self.partition.ispb,
            "sync_type": self.sync_type.value,
            "sync_day": self.partition.day,
            "sync_timestamp": self.started_at,
            "duration_ms": self.duration_ms,
            "dry_run": self.dry_run,
        }


@dataclass(frozen=True, slots=True)
class KeyTypeOutcome:
    """One key type, from DICT's first verdict to its last."""

    entries: int
    before: Proof | None
    source: Source
    after: Proof | None
    under_review: int

    def to_json(self) -> dict[str, Any]:
        """Return what the report says of the key type; `proof` tells which of its VSyncs was proved."""
        return {
            "entries": self.entries,
            "before": _verdict(self.before),
            "source": self.source.value,
            "after": _verdict(self.after),
            "proof": self.after and self.after.value,
            "under_review": self.under_review,
        }


def build_report(
    run: RunFacts, key_types: Mapping[str, KeyTypeOutcome], discrepancies: pl.DataFrame, fixes: pl.DataFrame
) -> Report:
    """Return the report of a sync whose comparison could be made.

    Args:
        run: the run.
        key_types: the outcome of each key type.
        discrepancies: rows of `DISCREPANCY_SCHEMA`.
        fixes: rows of `RECORD_SCHEMA`, one for each discrepancy that is not in flight.
    """
    settled = discrepancies.filter(~pl.col("in_flight"))
    done = Counter(fixes.select("kind", "outcome").rows())
    moved, planned, failed = _count(done, "MOVED"), _count(done, "PLANNED"), _failed(done)
    kinds = _kinds_not_moved(settled, fixes)
    verified = all(outcome.after is not None for outcome in key_types.values())
    return Report(
        **run.fields(),
        status=decide(left_undone=failed + planned, proved=verified).value,
        error_message=_left_undone(failed, planned, key_types),
        entries_synced=sum(outcome.entries for outcome in key_types.values()),
        entries_created=done["CREATE", "APPLIED"],
        entries_updated=done["UPDATE", "APPLIED"],
        entries_deleted=done["REVIEW", "APPLIED"],
        discrepancies=sum(kinds.values()),
        missing_local=kinds[Kind.MISSING_LOCAL],
        outdated_local=kinds[Kind.OUTDATED_LOCAL],
        missing_bacen=kinds[Kind.MISSING_BACEN],
        in_flight=len(discrepancies) - len(settled) + moved,
        fixes_failed=failed,
        verified=verified,
        key_types={name: outcome.to_json() for name, outcome in key_types.items()},
    )


def failed_report(run: RunFacts, error_message: str, done: Mapping[tuple[str, str], int]) -> Report:
    """Return the report of a sync that broke off.

    Of the differences nothing is claimed to be known; `done` counts what had been applied by then, by kind and outcome.
    """
    done = Counter(done)
    return Report(
        **run.fields(),
        status=Status.FAILED.value,
        error_message=error_message,
        entries_synced=0,
        entries_created=done["CREATE", "APPLIED"],
        entries_updated=done["UPDATE", "APPLIED"],
        entries_deleted=done["REVIEW", "APPLIED"],
        discrepancies=0,
        missing_local=0,
        outdated_local=0,
        missing_bacen=0,
        in_flight=0,
        fixes_failed=_failed(done),
        verified=False,
        key_types={str(name): dict.fromkeys(_KEY_TYPE_FIELDS) for name in KeyType},
    )


def _count(done: Mapping[tuple[str, str], int], *outcomes: str) -> int:
    return sum(count for (_, outcome), count in done.items() if outcome in outcomes)


def _failed(done: Mapping[tuple[str, str], int]) -> int:
    return _count(done, "INVALID", "FAILED")


def _kinds_not_moved(settled: pl.DataFrame, fixes: pl.DataFrame) -> Counter[str]:
    """Count the kinds of the differences that did not turn out, at the second look, to be on their way."""
    moved = fixes.filter(outcome="MOVED").select("cid")
    keyed = settled.with_columns(cid=pl.coalesce("dict_cid", "local_cid"))
    return Counter(keyed.join(moved, on="cid", how="anti")["kind"].to_list())


def _left_undone(failed: int, planned: int, key_types: Mapping[str, KeyTypeOutcome]) -> str | None:
    unproved = [name for name, outcome in key_types.items() if outcome.after is None]
    parts = [
        f"{failed} fixes were not applied (see the table fixes)" if failed else "",
        f"dry run: {planned} differences were left as they are" if planned else "",
        f"not proved: {', '.join(unproved)}" if unproved else "",
    ]
    return "; ".join(part for part in parts if part) or None


def _verdict(proof: Proof | None) -> str:
    return "NOK" if proof is None else "OK"


def write_report(database: Database, report: Report) -> bool:
    """Write a report and the event that tells of it, in one transaction; False if the run has a report already.

    A sync that was compared is done with its CID files; one that FAILED goes on with them when it is run again.
    """

    def write(connection: Connection) -> bool:
        if not reports.insert(connection, report):
            return False
        outbox.add(connection, report.participant_ispb, SYNC_COMPLETED, sync_completed(report))
        if report.status != Status.FAILED:
            cid_files.close_all(connection, report.participant_ispb, report.sync_day)
        return True

    return database.retrying(write)
