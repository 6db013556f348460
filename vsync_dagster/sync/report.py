"""The sync report: what was found, what was done, and what was proved."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
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
from vsync_dagster.sync.facts import DictFacts, LocalFacts
from vsync_dagster.sync.repair import PENDING, RECORD_SCHEMA, UNREADABLE, broken_rules_by_key_type
from vsync_dagster.sync.verification import LocalSet


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
class Origin:
    """Whose figures a report shows.

    `compared_by` is the run that compared with DICT, up to `compared_at` by DICT's clock; `repaired_by` the run whose
    repair ended, at `repaired_at`. None where there is no such run.
    """

    compared_by: str | None = None
    compared_at: datetime | None = None
    repaired_by: str | None = None
    repaired_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class KeyTypeOutcome:
    """One key type, from DICT's first verdict to its last, which is about `ours`.

    What the report's own run has not read or asked is None: `ours`, and both verdicts where `source` (before) or
    `asked` (after) says so.
    """

    ours: LocalSet | None
    before: Proof | None
    source: Source | None
    after: Proof | None
    request_id_alone: int | None = 0
    asked: bool = True
    pending_because: str | None = None
    contradiction: str | None = None

    def to_json(self, broken_rules: Mapping[str, int] | None) -> dict[str, Any]:
        """Return what the report says of the key type; None for what is not known.

        `broken_rules` counts the entries that were applied although they break a rule of DICT's schema, by rule.

        `proof` tells which of its VSyncs was proved. `computed_from` is TABLE, or LEDGER where the set was carried
        forward since `read_whole_at`: DICT's OK then proves the ledger right, and the table as far as the ledger tells.
        """
        return {
            **_set_fields(self.ours),
            "before": None if self.source is None else _verdict(self.before),
            "source": self.source and self.source.value,
            "after": _verdict(self.after) if self.asked else None,
            "proof": self.after and self.after.value,
            "request_id_alone": self.request_id_alone,
            "broken_rules": None if broken_rules is None else dict(broken_rules),
        }


def _set_fields(ours: LocalSet | None) -> dict[str, Any]:
    if ours is None:
        return dict.fromkeys(("entries", "computed_from", "read_whole_at", "under_review"))
    return {
        "entries": ours.entries,
        "computed_from": "LEDGER" if ours.carried else "TABLE",
        "read_whole_at": ours.read_whole_at.isoformat(),
        "under_review": len(ours.under_review),
    }


@dataclass(frozen=True, slots=True)
class Learnt:
    """What a run that broke off had learnt by then; None for what it had not.

    `local` is what its own run read. The comparison (`compared`, then `discrepancies`, rows of `DISCREPANCY_SCHEMA`)
    is the one that it worked by, which `origin` names. `fixes` are rows of `RECORD_SCHEMA`, once a repair has ended.
    """

    local: LocalFacts | None = None
    compared: DictFacts | None = None
    discrepancies: pl.DataFrame | None = None
    fixes: pl.DataFrame | None = None
    origin: Origin = Origin()

    @property
    def entries(self) -> int | None:
        """How many active entries we held."""
        return None if self.local is None else self.local.entries

    def key_types(self) -> dict[str, dict[str, Any]]:
        """Return what a report says of each key type."""
        broken = None if self.fixes is None else broken_rules_by_key_type(self.fixes)
        return {
            str(name): self._key_type(str(name)).to_json(None if broken is None else broken.get(str(name), {}))
            for name in KeyType
        }

    def _key_type(self, name: str) -> KeyTypeOutcome:
        ours = self.local.sets.get(name) if self.local else None
        facts = self.compared.key_types.get(name) if self.compared else None
        if facts is None:
            return KeyTypeOutcome(ours, None, None, None, request_id_alone=None, asked=False)
        return KeyTypeOutcome(ours, facts.proof, facts.source, None, facts.request_id_alone, asked=False)


def build_report(
    run: RunFacts,
    key_types: Mapping[str, KeyTypeOutcome],
    discrepancies: pl.DataFrame,
    fixes: pl.DataFrame,
    plan: Plan,
    resume_at: datetime | None,
    origin: Origin,
) -> Report:
    """Return the report of a sync whose comparison could be made.

    Of the fixes, those of the report's own run are counted: those of another are in the report of that one.

    Args:
        run: the run.
        key_types: the outcome of each key type.
        discrepancies: rows of `DISCREPANCY_SCHEMA`.
        fixes: rows of `RECORD_SCHEMA`, one for each discrepancy that is neither in flight nor pending.
        plan: what was planned before the look-ups.
        resume_at: from when on another sync can go on, if DICT's budgets ended before the work did.
        origin: whose comparison and whose fixes they are.
    """
    done = Counter(fixes.select("kind", "outcome").rows())
    planned, failed = _count(done, "PLANNED"), _failed(done)
    differences = _differences(discrepancies, fixes)
    pending = differences["pending"]
    repaired_here = origin.repaired_by == run.run_id
    broken_rules = broken_rules_by_key_type(fixes) if repaired_here else {}
    verified = all(outcome.after is not None for outcome in key_types.values())
    entries = [outcome.ours.entries for outcome in key_types.values() if outcome.ours is not None]
    return Report(
        **run.fields(),
        status=decide(left_undone=failed + planned + pending, proved=verified).value,
        error_message=_left_undone(done, planned, pending, key_types, resume_at),
        entries_synced=sum(entries) if len(entries) == len(key_types) else None,
        **count_done(done if repaired_here else Counter()),
        **differences,
        verified=verified,
        resume_at=resume_at,
        plan=asdict(plan),
        key_types={name: outcome.to_json(broken_rules.get(name, {})) for name, outcome in key_types.items()},
        **asdict(origin),
    )


def count_done(done: Mapping[tuple[str, str], int] | None) -> dict[str, Any]:
    """Return a report's counts of the fixes of its run, by kind and outcome; None where they cannot be read."""
    if done is None:
        return dict.fromkeys(("entries_created", "entries_updated", "entries_deleted", "fixes_failed"))
    return {
        "entries_created": done.get(("CREATE", "APPLIED"), 0),
        "entries_updated": done.get(("UPDATE", "APPLIED"), 0),
        "entries_deleted": done.get(("REVIEW", "APPLIED"), 0),
        "fixes_failed": _failed(done),
    }


def _differences(discrepancies: pl.DataFrame, fixes: pl.DataFrame) -> dict[str, Any]:
    """Return a report's counts of the differences, less those that the second look found to be on their way."""
    kinds = _kinds_not_moved(discrepancies.filter(SETTLED), fixes)
    return {
        "discrepancies": sum(kinds.values()),
        "missing_local": kinds[Kind.MISSING_LOCAL],
        "outdated_local": kinds[Kind.OUTDATED_LOCAL],
        "missing_bacen": kinds[Kind.MISSING_BACEN],
        "in_flight": int(discrepancies["in_flight"].sum()) + len(fixes.filter(outcome="MOVED")),
        "pending": count_pending(discrepancies, fixes),
    }


def _learnt_differences(learnt: Learnt) -> dict[str, Any]:
    if learnt.discrepancies is None:
        names = ("discrepancies", "missing_local", "outdated_local", "missing_bacen", "in_flight", "pending")
        return dict.fromkeys(names)
    fixes = RECORD_SCHEMA.to_frame() if learnt.fixes is None else learnt.fixes
    return _differences(learnt.discrepancies, fixes)


def count_pending(discrepancies: pl.DataFrame, fixes: pl.DataFrame) -> int:
    """Count the differences, and the second looks at some, that wait for DICT's budgets."""
    return int(discrepancies["pending"].sum()) + len(fixes.filter(outcome=PENDING))


def failed_report(
    run: RunFacts,
    error_message: str,
    learnt: Learnt,
    done: Mapping[tuple[str, str], int] | None,
    resume_at: datetime | None,
) -> Report:
    """Return the report of a sync that broke off: it keeps what was learnt by then, and knows nothing of the rest.

    `done` counts what had been applied by then, by kind and outcome; None where that cannot be read.
    """
    return Report(
        **run.fields(),
        status=Status.FAILED.value,
        error_message=error_message,
        entries_synced=learnt.entries,
        **count_done(done),
        **_learnt_differences(learnt),
        verified=False,
        resume_at=resume_at,
        plan=asdict(learnt.compared.plan) if learnt.compared else None,
        key_types=learnt.key_types(),
        **asdict(learnt.origin),
    )


def with_remark(report: Report, remark: str | None) -> Report:
    """Return a report whose text begins with a remark on all of it, if there is one."""
    text = "; ".join(filter(None, (remark, report.error_message)))
    return replace(report, error_message=text) if remark else report


def _count(done: Mapping[tuple[str, str], int], *outcomes: str) -> int:
    return sum(count for (_, outcome), count in done.items() if outcome in outcomes)


def _failed(done: Mapping[tuple[str, str], int]) -> int:
    return _count(done, "INVALID", "FAILED", UNREADABLE)


def _kinds_not_moved(settled: pl.DataFrame, fixes: pl.DataFrame) -> Counter[str]:
    """Count the kinds of the differences that did not turn out, at the second look, to be on their way."""
    moved = fixes.filter(outcome="MOVED").select("cid")
    keyed = settled.with_columns(cid=pl.coalesce("dict_cid", "local_cid"))
    return Counter(keyed.join(moved, on="cid", how="anti")["kind"].to_list())


def _left_undone(
    done: Mapping[tuple[str, str], int],
    planned: int,
    pending: int,
    key_types: Mapping[str, KeyTypeOutcome],
    resume_at: datetime | None,
) -> str | None:
    unreadable = _count(done, UNREADABLE)
    failed = _failed(done) - unreadable
    unproved = [name for name, outcome in key_types.items() if outcome.after is None]
    no_set = {name: key_types[name].pending_because for name in unproved if key_types[name].source is Source.PENDING}
    not_compared = [name for name, why in no_set.items() if why is None]
    contradictions = {name: why for name in unproved if (why := key_types[name].contradiction)}
    parts = [
        *(
            f"DICT contradicts its own file of {name}: {why}; ask the central bank"
            for name, why in contradictions.items()
        ),
        *(f"not compared: {name} ({why})" for name, why in no_set.items() if why is not None),
        f"{unreadable} differences wait for CIDs that DICT cannot answer for (see UNREADABLE in the table fixes)"
        if unreadable
        else "",
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

    A sync that was compared is done with its CID files; one that broke off, or could not compare all, goes on with
    them when it is run again.
    """
    ended = report.status != Status.FAILED
    told_apart = [name for name, told in report.key_types.items() if told["source"] not in (None, Source.PENDING)]
    compared = told_apart if ended else []

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
