"""Applying fixes to our base: DICT is the truth, and a key that only we hold goes before a person.

Source: Manual Operacional do DICT, chapter 9 (what to correct, and on which side). Nothing is ever deleted here.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import polars as pl

from vsync_dagster.dict_api.client import DictClient
from vsync_dagster.dict_api.errors import KEY_TYPE_ERRORS
from vsync_dagster.dict_api.event_log import read_events
from vsync_dagster.dict_api.lookup import LookUp, look_up
from vsync_dagster.local_db import fixes, lookups, review
from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.local_db.encryption import Cipher
from vsync_dagster.local_db.fixes import Fix, FixRecord, FixResult
from vsync_dagster.local_db.review import ReviewItem
from vsync_dagster.progress import counting
from vsync_dagster.reconcile.discrepancies import Kind
from vsync_dagster.reconcile.entry import Entry
from vsync_dagster.reconcile.errors import BudgetExhaustedError
from vsync_dagster.reconcile.look_up import Found
from vsync_dagster.reconcile.set_events import memberships
from vsync_dagster.reconcile.validation import broken_rules, refusals
from vsync_dagster.sync.dict_set import OVERLAP, set_events
from vsync_dagster.sync.look_up import why_unreadable

_log = logging.getLogger(__name__)

Row = dict[str, Any]
"""A row of `DISCREPANCY_SCHEMA`."""

Transaction = Callable[[Connection], list[FixRecord]]
"""Applies a batch in the caller's transaction, and returns one record a discrepancy of it."""

RECORD_SCHEMA = pl.Schema(
    {
        "kind": pl.String(),
        "key_type": pl.String(),
        "entry_id": pl.Binary(),
        "cid": pl.Binary(),
        "outcome": pl.String(),
        "error": pl.String(),
        "broken_rules": pl.List(pl.String()),
    }
)
"""`applied_fixes`: one row a difference that was to be repaired; `kind` is CREATE, UPDATE or REVIEW, `outcome` APPLIED,
ALREADY, MOVED, INVALID, FAILED, PLANNED in a dry run, UNREADABLE where DICT cannot answer for the CID, or
PENDING where DICT's budget ended before the second look.
`broken_rules` are those of DICT's schema that an entry breaks which was applied all the same."""

PENDING = "PENDING"
UNREADABLE = "UNREADABLE"

_OF_ITS_TYPE = "a CID of its key type cannot be read at DICT, and may be this key's"
_LOG_ATTEMPTS = 3

_FIX_KINDS = {
    Kind.MISSING_LOCAL.value: fixes.CREATE,
    Kind.OUTDATED_LOCAL.value: fixes.UPDATE,
    Kind.MISSING_BACEN.value: fixes.REVIEW,
}


@dataclass(slots=True)
class RemovalWatch:
    """Tells which CIDs DICT's log has removed since they were looked up; reads the log again as it grows.

    One reading serves for `lag` seconds: the log itself is not fresher than that.
    """

    client: DictClient
    since: datetime
    lag: float
    monotonic: Callable[[], float]
    _read: dict[str, tuple[float, frozenset[bytes]]] = field(default_factory=dict)
    _unusable: set[str] = field(default_factory=set)

    def removed(self, key_type: str) -> frozenset[bytes] | None:
        """Return the CIDs of a key type that DICT does not hold any more; None where the log cannot be had or used."""
        read_at, gone = self._read.get(key_type, (float("-inf"), frozenset[bytes]()))
        if key_type in self._unusable or self.monotonic() - read_at <= self.lag:
            return None if key_type in self._unusable else gone
        try:
            log = read_events(replace(self.client, attempts=_LOG_ATTEMPTS), key_type, self.since - OVERLAP)
        except KEY_TYPE_ERRORS as error:
            _log.warning("%s: %s; each entry is looked up again before it is applied", key_type, error)
            self._unusable.add(key_type)
            return None
        held = memberships(set_events(log))
        gone = frozenset(cid for cid, is_held in held.items() if not is_held)
        self._read[key_type] = (self.monotonic(), gone)
        return gone


@dataclass(frozen=True, slots=True)
class Repair:
    """The repair of one participant's base in one run."""

    client: DictClient
    database: Database
    cipher: Cipher
    watch: RemovalWatch
    run_id: str
    ispb: str
    batch_size: int
    now: Callable[[], datetime]
    unreadable: Mapping[bytes, str] = field(default_factory=dict)

    def apply(self, discrepancies: pl.DataFrame) -> list[FixRecord]:
        """Do what may be done, batch by batch, each in one transaction, two of them at a time; returns one record a
        discrepancy.

        Args:
            discrepancies: rows of `DISCREPANCY_SCHEMA`, none of them in flight.
        """
        records: list[FixRecord] = []
        with counting(_log, "differences handled", len(discrepancies)) as count:
            for done in self.database.retrying_each(self._transactions(discrepancies), fixes.AT_ONCE):
                records += done
                count.advance(len(done))
        _log.info("%s: %d of %d differences handled", self.ispb, len(records), len(discrepancies))
        return records

    def _transactions(self, discrepancies: pl.DataFrame) -> Iterator[Transaction]:
        for (key_type,), rows in discrepancies.partition_by("key_type", as_dict=True).items():
            for batch in rows.iter_slices(self.batch_size):
                yield self._transaction(str(key_type), batch)

    def _transaction(self, key_type: str, batch: pl.DataFrame) -> Transaction:
        """Ask DICT what must be known of a batch, and return what applies it."""
        missing_bacen = pl.col("kind") == Kind.MISSING_BACEN.value
        to_review, to_write = batch.filter(missing_bacen).to_dicts(), batch.filter(~missing_bacen).to_dicts()
        doubtful = [row for row in to_review if row["found"] == Found.UNREADABLE.value]
        to_review = [row for row in to_review if row["found"] != Found.UNREADABLE.value]
        try:
            gone, unsure = self._removed(key_type, [row["dict_cid"] for row in to_write])
        except BudgetExhaustedError as error:
            unasked = [_record(row, PENDING, str(error)) for row in batch.to_dicts()]
            return lambda _: unasked
        answers = self._second_look([row["local_cid"] for row in to_review])
        pending = [_record(row, PENDING, None) for row in to_review if row["local_cid"] not in answers]
        problems = {cid: why_unreadable(answer) for cid, answer in answers.items() if answer.problem}
        unreadable = [_record(row, UNREADABLE, _OF_ITS_TYPE) for row in doubtful]
        unreadable += [_record(row, UNREADABLE, why) for row in to_review if (why := problems.get(row["local_cid"]))]
        seen = [row for row in to_review if row["local_cid"] in answers.keys() - problems.keys()]

        def apply(connection: Connection) -> list[FixRecord]:
            written = self._write(connection, to_write, gone, unsure) + unreadable
            fixes.record(connection, self.run_id, self.ispb, unreadable)
            return written + self._put_up_for_review(connection, seen, answers) + pending

        return apply

    def _removed(self, key_type: str, cids: list[bytes]) -> tuple[frozenset[bytes], dict[bytes, str]]:
        """Return those of the CIDs that DICT does not hold any more, and those of which it cannot say, each with why.

        DICT's log says so, or else each CID is looked up again.
        """
        removed = self.watch.removed(key_type)
        if removed is not None:
            return removed, {}
        answers = {answer.cid: answer for answer in look_up(self.client, cids) if answer.outcome is not Found.FOUND}
        gone = frozenset(cid for cid, answer in answers.items() if answer.outcome in (Found.GONE, Found.NOT_OURS))
        return gone, {cid: _doubt(answer) for cid, answer in answers.items() if cid not in gone}

    def _second_look(self, cids: list[bytes]) -> dict[bytes, LookUp]:
        """Look up CIDs that only we hold; those for which DICT's budget does not suffice are left out."""
        answers: dict[bytes, LookUp] = {}
        try:
            for answer in look_up(self.client, cids):
                answers[answer.cid] = answer
        except BudgetExhaustedError as error:
            _log.warning("%s: %s", self.ispb, error)
        return answers

    def _write(
        self, connection: Connection, rows: list[Row], gone: frozenset[bytes], unsure: Mapping[bytes, str]
    ) -> list[FixRecord]:
        entries = lookups.staged(connection, self.cipher, self.ispb, [row["dict_cid"] for row in rows])
        unreadable = {**self.unreadable, **unsure}
        objections = {row["dict_cid"]: _objection(row, entries, gone, unreadable) for row in rows}
        refused = [_record(row, *objection) for row in rows if (objection := objections[row["dict_cid"]])]
        for record in refused:
            if record.outcome != fixes.MOVED:
                _log.warning("%s: CID %s: not applied: %s", self.ispb, record.cid.hex(), record.error)
        fixes.record(connection, self.run_id, self.ispb, refused)
        ready = [row for row in rows if objections[row["dict_cid"]] is None]
        batch = [_fix(row, entries[row["dict_cid"]]) for row in ready]
        results = fixes.apply_batch(connection, self.cipher, self.run_id, self.ispb, batch)
        done = [result.cid for result in results if result.outcome in (fixes.APPLIED, fixes.ALREADY)]
        lookups.delete(connection, self.ispb, done)
        written = zip(ready, batch, results, strict=True)
        return refused + [_warned(_of_result(row, result), fix.target) for row, fix, result in written]

    def _put_up_for_review(
        self, connection: Connection, rows: list[Row], answers: Mapping[bytes, LookUp]
    ) -> list[FixRecord]:
        """Look a second time, then queue: still here is the queue's guard, still unknown to DICT is the answer."""
        back = [row for row in rows if answers[row["local_cid"]].outcome is Found.FOUND]
        moved = [_record(row, fixes.MOVED, "DICT holds the key again") for row in back]
        fixes.record(connection, self.run_id, self.ispb, moved)
        rows = [row for row in rows if row not in back]
        items = [_review_item(row, answers[row["local_cid"]], self.now()) for row in rows]
        results = review.queue(connection, self.run_id, self.ispb, items)
        return moved + [_of_result(row, result) for row, result in zip(rows, results, strict=True)]


def record_frame(records: Iterable[FixRecord]) -> pl.DataFrame:
    """Return records as rows of `RECORD_SCHEMA`."""
    rows = [
        (
            record.kind,
            record.key_type,
            record.entry_id and record.entry_id.bytes,
            record.cid,
            record.outcome,
            record.error,
            list(record.broken_rules),
        )
        for record in records
    ]
    return pl.DataFrame(rows, RECORD_SCHEMA, orient="row")


def planned(discrepancies: pl.DataFrame) -> list[FixRecord]:
    """Return what a repair would try, in the form of its records, with the outcome PLANNED."""
    return [_record(row, "PLANNED", None) for row in discrepancies.to_dicts()]


def _doubt(answer: LookUp) -> str:
    return why_unreadable(answer) if answer.problem else f"its second look-up ended as {answer.outcome}"


def _objection(
    row: Row, entries: Mapping[bytes, Entry], gone: frozenset[bytes], unreadable: Mapping[bytes, str]
) -> tuple[str, str] | None:
    """Return the outcome and the reason, if a difference may not be repaired."""
    cid = row["dict_cid"]
    if row["found"] == Found.UNREADABLE.value or cid in unreadable:
        return UNREADABLE, f"DICT cannot answer for the CID: {unreadable.get(cid, 'see its log')}"
    if row["found"] == Found.MISMATCH.value:
        return fixes.INVALID, "DICT's answer does not hash to the CID that was asked for"
    if row["found"] == Found.OTHER_SPELLING.value:
        return fixes.INVALID, "DICT's entry names the participant in another case of letters than it is registered in"
    if cid in gone:
        return fixes.MOVED, "DICT has removed the CID since it was looked up"
    if cid not in entries:
        return fixes.MOVED, "the entry was applied or dropped since it was looked up"
    wrong = refusals(entries[cid], row["key_type"])
    return (fixes.INVALID, f"DICT's entry cannot be held here: {'; '.join(wrong)}") if wrong else None


def _fix(row: Row, target: Entry) -> Fix:
    entry_id = UUID(bytes=row["entry_id"]) if row["entry_id"] else None
    return Fix(_FIX_KINDS[row["kind"]], entry_id, row["local_cid"], row["row_version"], target)


def _review_item(row: Row, answer: LookUp, now: datetime) -> ReviewItem:
    removed_at = row["removed_at"]
    return ReviewItem(
        entry_id=UUID(bytes=row["entry_id"]),
        key_type=row["key_type"],
        cid=row["local_cid"],
        reason=Kind.MISSING_BACEN.value,
        evidence={
            "cid": row["local_cid"].hex(),
            "dict_removed_at": removed_at and removed_at.isoformat(),
            "second_look": answer.outcome.value,
            # A problem document does not tell DICT's time.
            "second_look_at": (answer.response_time or now).isoformat(),
            "second_look_correlation_id": answer.correlation_id,
        },
    )


def _record(row: Row, outcome: str, error: str | None) -> FixRecord:
    entry_id = UUID(bytes=row["entry_id"]) if row["entry_id"] else None
    return FixRecord(
        _FIX_KINDS[row["kind"]], row["key_type"], entry_id, row["dict_cid"] or row["local_cid"], outcome, error
    )


def _of_result(row: Row, result: FixResult) -> FixRecord:
    return FixRecord(
        _FIX_KINDS[row["kind"]], row["key_type"], result.entry_id, result.cid, result.outcome, result.error
    )


def _warned(record: FixRecord, target: Entry) -> FixRecord:
    """Name the rules that an entry breaks, if it was written."""
    return replace(record, broken_rules=tuple(broken_rules(target))) if record.outcome == fixes.APPLIED else record


def broken_rules_by_key_type(records: pl.DataFrame) -> dict[str, dict[str, int]]:
    """Return how many of the entries that were applied break each rule of DICT's schema, by key type and rule.

    Args:
        records: rows of `RECORD_SCHEMA`.
    """
    counts: dict[str, dict[str, int]] = {}
    counted = records.explode("broken_rules").drop_nulls("broken_rules").group_by("key_type", "broken_rules").len()
    for key_type, rule, count in counted.sort("key_type", "broken_rules").iter_rows():
        counts.setdefault(key_type, {})[rule] = count
    return counts
