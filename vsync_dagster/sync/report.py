"""The sync report: what was found, what was done, and what was proved."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import polars as pl

from vsync_dagster.events.messages import SYNC_COMPLETED, sync_completed
from vsync_dagster.local_db import chains, cid_files, outbox, reports
from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.local_db.reports import Report
from vsync_dagster.partitions import SyncPartition
from vsync_dagster.reconcile.discrepancies import SETTLED, Kind
from vsync_dagster.reconcile.keys import KeyType
from vsync_dagster.reconcile.plan import Plan
from vsync_dagster.reconcile.status import Proof, Source, Status, SyncType, decide
from vsync_dagster.sync.repair import PENDING, broken_rules_by_key_type
from vsync_dagster.sync.verification import LocalSet

_KEY_TYPE_FIELDS = (
    *("entries", "computed_from", "read_whole_at", "before", "source", "after", "proof", "under_review"),
    *("request_id_alone", "broken_rules"),
)


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
    """One key type, from DICT's first verdict to its last, which is about `ours`."""

    ours: LocalSet
    before: Proof | None
    source: Source
    after: Proof | None
    request_id_alone: int = 0

    def to_json(self, broken_rules: Mapping[str, int]) -> dict[str, Any]:
        """Return what the report says of the key type.

        `broken_rules` counts the entries that were applied although they break a rule of DICT's schema, by rule.

        `proof` tells which of its VSyncs was proved. `computed_from` is TABLE, or LEDGER where the set was carried
        forward since `read_whole_at`: DICT's OK then proves the ledger right, and the table as far as the ledger tells.
        """
        return {
            "entries": self.ours.entries,
            "computed_from": "LEDGER" if self.ours.carried else "TABLE",
            "read_whole_at": self.ours.read_whole_at.isoformat(),
            "before": _verdict(self.before),
            "source": self.source.value,
            "after": _verdict(self.after),
            "proof": self.after and self.after.value,
            "under_review": len(self.ours.under_review),
            "request_id_alone": self.request_id_alone,
            "broken_rules": dict(broken_rules),
        }


def build_report(
    run: RunFacts,
    key_types: Mapping[str, KeyTypeOutcome],
    discrepancies: pl.DataFrame,
    fixes: pl.DataFrame,
    plan: Plan,
    resume_at: datetime | None,
) -> Report:
    """Return the report of a sync whose comparison could be made.

    Args:
        run: the run.
        key_types: the outcome of each key type.
        discrepancies: rows of `DISCREPANCY_SCHEMA`.
        fixes: rows of `RECORD_SCHEMA`, one for each discrepancy that is neither in flight nor pending.
        plan: what was planned before the look-ups.
        resume_at: from when on another sync can go on, if DICT's budgets ended before the work did.
    """
    settled = discrepancies.filter(SETTLED)
    done = Counter(fixes.select("kind", "outcome").rows())
    moved, planned, failed = _count(done, "MOVED"), _count(done, "PLANNED"), _failed(done)
    pending = count_pending(discrepancies, fixes)
    kinds = _kinds_not_moved(settled, fixes)
    broken_rules = broken_rules_by_key_type(fixes)
    verified = all(outcome.after is not None for outcome in key_types.values())
    return Report(
        **run.fields(),
        status=decide(left_undone=failed + planned + pending, proved=verified).value,
        error_message=_left_undone(failed, planned, pending, key_types, resume_at),
        entries_synced=sum(outcome.ours.entries for outcome in key_types.values()),
        entries_created=done["CREATE", "APPLIED"],
        entries_updated=done["UPDATE", "APPLIED"],
        entries_deleted=done["REVIEW", "APPLIED"],
        discrepancies=sum(kinds.values()),
        missing_local=kinds[Kind.MISSING_LOCAL],
        outdated_local=kinds[Kind.OUTDATED_LOCAL],
        missing_bacen=kinds[Kind.MISSING_BACEN],
        in_flight=int(discrepancies["in_flight"].sum()) + moved,
        fixes_failed=failed,
        verified=verified,
        pending=pending,
        resume_at=resume_at,
        plan=asdict(plan),
        key_types={name: outcome.to_json(broken_rules.get(name, {})) for name, outcome in key_types.items()},
    )


def count_pending(discrepancies: pl.DataFrame, fixes: pl.DataFrame) -> int:
    """Count the differences, and the second looks at some, that wait for DICT's budgets."""
    return int(discrepancies["pending"].sum()) + len(fixes.filter(outcome=PENDING))


def failed_report(
    run: RunFacts, error_message: str, done: Mapping[tuple[str, str], int], resume_at: datetime | None
) -> Report:
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
        pending=0,
        resume_at=resume_at,
        plan=None,
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


def _left_undone(
    failed: int, planned: int, pending: int, key_types: Mapping[str, KeyTypeOutcome], resume_at: datetime | None
) -> str | None:
    unproved = [name for name, outcome in key_types.items() if outcome.after is None]
    not_compared = [name for name in unproved if key_types[name].source is Source.PENDING]
    parts = [
        f"{pending} differences wait for DICT's budget" if pending else "",
        f"not compared for want of budget: {', '.join(not_compared)}" if not_compared else "",
        f"sync again from {resume_at.isoformat(timespec='seconds')} on" if resume_at else "",
        f"{failed} fixes were not applied (see the table fixes)" if failed else "",
        f"dry run: {planned} differences were left as they are" if planned else "",
        f"not proved: {', '.join(unproved)}" if unproved else "",
    ]
    return "; ".join(part for part in parts if part) or None


def _verdict(proof: Proof | None) -> str:
    return "NOK" if proof is None else "OK"


def write_report(database: Database, report: Report) -> bool:
    """Write a report and the event that tells of it, in one transaction; False if the run has a report already.

    A sync that was compared is done with its CID files; what is not compared goes on with them when it is run again.
    """
    compared = [name for name, told in report.key_types.items() if told["source"] not in (None, Source.PENDING)]

    def write(connection: Connection) -> bool:
        if not reports.insert(connection, report):
            return False
        told = sync_completed(report, chains.heads(connection, report.participant_ispb))
        outbox.add(connection, report.participant_ispb, SYNC_COMPLETED, told)
        for key_type in compared:
            cid_files.close(connection, report.participant_ispb, key_type, report.sync_day)
        return True

    # The database seals what the run has left behind with its report: after a first sync, rows by the million.
    return database.retrying(write, bulk=True)
