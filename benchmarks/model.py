"""What a sync costs as a function of keys, changes and drift, computed from the measurements; writes `docs/scale.md`.

`python -m benchmarks.model` puts the tables between the markers of the page. A figure that rests on a case of which
`results.json` has no line is told as not measured.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Self

import click

from vsync_dagster.dict_api.budget import (
    CIDS_ENTRIES_READ,
    CIDS_EVENTS_LIST,
    CIDS_FILES_WRITE,
    DOCUMENTED,
    SYNC_VERIFICATIONS_WRITE,
)

# Bytes a key: a CID out of PostgreSQL, strung together with others; in the snapshot on disk; as a line of DICT's file.
READ_BYTES, STORED_BYTES, FILE_BYTES = 32, 32, 65
KEY_TYPES = 5
EVENTS_A_PAGE = 200
_NOT_MEASURED = "not measured"
_HERE = Path(__file__).parent
_BEGIN, _END = "<!-- {}: begin -->", "<!-- {}: end -->"


@dataclass(frozen=True, slots=True)
class Measured:
    """Lines of `results.json`, by the name of their case."""

    lines: Mapping[str, Mapping[str, Any]]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the file; of several lines of one case the first counts."""
        found: dict[str, Mapping[str, Any]] = {}
        for line in json.loads(path.read_text())["results"]:
            found.setdefault(line["case"], line)
        return cls(found)

    def line(self, case: str) -> Mapping[str, Any] | None:
        """Return the line of a case's module, if it was measured."""
        return self.lines.get(import_module(f"benchmarks.cases.{case}").CASE)

    def seconds(self, case: str, per: float = 1.0) -> float | None:
        """Return how long ours took, divided."""
        line = self.line(case)
        return None if line is None else line["seconds"] / per

    def keys(self, case: str) -> int:
        """Return at how many keys a case was measured; 0 where it was not."""
        line = self.line(case)
        return 0 if line is None else line["keys"]


@dataclass(frozen=True, slots=True)
class Coefficients:
    """Seconds: of a sync whatever it finds, of one that finds changes beyond that, and for each key, CID or change."""

    sync: float | None
    changes: float | None
    read: float | None
    told_apart: float | None
    recomputed: float | None
    file: float | None
    fix: float | None
    look_up: float | None
    partition: float | None

    @classmethod
    def of(cls, measured: Measured) -> Self:
        """Derive them; each is one measurement over its size."""
        found = measured.seconds
        in_sync, changed = found("incremental"), found("incremental_changes")
        fixes = max(1, measured.keys("fixes") // 100)
        looked_up = min(36_000, max(measured.keys("look_ups") // 250, 20))
        participants = min(max(measured.keys("small_participants") // 100_000, 2), 300)
        return cls(
            sync=in_sync,
            changes=None if in_sync is None or changed is None else max(0.0, changed - in_sync),
            read=found("vsyncs", measured.keys("vsyncs") or 1),
            told_apart=found("cid_sets", measured.keys("cid_sets") or 1),
            recomputed=found("integrity", measured.keys("integrity") or 1),
            file=found("cid_file", measured.keys("cid_file") or 1),
            fix=found("fixes", fixes),
            look_up=found("look_ups", looked_up),
            partition=found("small_participants", participants),
        )


def total(*parts: float | None) -> float | None:
    """Add up; what rests on something unmeasured is unmeasured."""
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None


def times(count: float, seconds: float | None) -> float | None:
    """Multiply, in the same sense."""
    return None if seconds is None else count * seconds


def comparing(of: Coefficients, keys: int) -> float | None:
    """Seconds to read a table, keep it, check the file, and tell both apart."""
    return times(keys, total(of.read, of.file, of.told_apart))


def incremental(of: Coefficients, changes: int) -> float | None:
    """Seconds of the assets of an INCREMENTAL sync, without the wait for DICT's log and for its budgets.

    What looking up and repairing the first hundred changes takes is within `changes`; look-ups beyond are aside.
    """
    if changes == 0:
        return of.sync
    return total(of.sync, of.changes, times(max(0, changes - 100), of.fix))


def full(of: Coefficients, keys: int, drift: int) -> float | None:
    """Seconds of the assets of a FULL sync, look-ups and waiting aside, of which so many keys are to be repaired.

    The read that recomputes takes the place of the plain one; after a repair, what is proved is read once more.
    """
    proved = times(keys if drift else 0, of.read)
    return total(of.sync, times(keys, total(of.recomputed, of.file, of.told_apart)), times(drift, of.fix), proved)


def waiting(policy: str, tokens: int) -> float:
    """Seconds until a full bucket, by the documented limits, has given so many tokens."""
    limit = DOCUMENTED[policy]
    return max(0, tokens - limit.capacity) / limit.tokens_per_second


def pages(changes: int) -> int:
    """Pages of DICT's event log, if all changes are of one key type."""
    return -(-changes // EVENTS_A_PAGE)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def coefficients(of: Coefficients, measured: Measured) -> str:
    """What the model rests on."""
    rows = [
        ("a sync, in sync", of.sync, "s", "incremental"),
        ("more, where it finds changes", of.changes, "s", "incremental_changes"),
        ("a key read from the table", of.read, "µs", "vsyncs"),
        ("a CID of two sets told apart", of.told_apart, "µs", "cid_sets"),
        ("a CID recomputed from its row, read included", of.recomputed, "µs", "integrity"),
        ("a line of DICT's file", of.file, "µs", "cid_file"),
        ("a fix", of.fix, "µs", "fixes"),
        ("a look-up, without limits", of.look_up, "µs", "look_ups"),
        ("a small participant's night through the queue", of.partition, "s", "small_participants"),
    ]
    return table(
        ["what", "takes", "from case", "at"],
        [[what, _amount(value, unit), f"`{case}`", _count(measured.keys(case))] for what, value, unit, case in rows],
    )


def checked(of: Coefficients, measured: Measured) -> str:
    """What the model says of cases from which it takes no coefficient, beside what they took."""
    rows = []
    for case, what, predicted in _predictions(of, measured):
        line = measured.line(case)
        took = None if line is None else line["reference_seconds"] if "a tenth" in what else line["seconds"]
        keys = measured.keys(case) // (10 if "a tenth" in what else 1)
        predicted = predicted if keys else None
        error = "" if predicted is None or took is None else f"{predicted / took - 1:+.0%}"
        rows.append([what, _count(keys), _seconds(predicted), _seconds(took), error])
    return table(["what", "keys", "by the model", "measured", "off by"], rows)


def _predictions(of: Coefficients, measured: Measured) -> list[tuple[str, str, float | None]]:
    drift = min(20_000, measured.keys("full_sync") // 50)
    return [
        ("compare", "a table against a file", comparing(of, measured.keys("compare"))),
        ("cid_sets", "two sets from files, at a tenth", times(measured.keys("cid_sets") // 10, of.told_apart)),
        ("incremental", "INCREMENTAL, in sync, at a tenth", incremental(of, 0)),
        ("incremental_changes", "INCREMENTAL, 100 changes, at a tenth", incremental(of, 100)),
        ("full_sync", "FULL through Dagster, with fixes", full(of, measured.keys("full_sync"), drift)),
    ]


def applied(of: Coefficients) -> str:
    """One participant of so many keys; a FULL sync in which one key in 10,000 is to be repaired."""
    rows = []
    for keys in (1_000_000, 100_000_000, 900_000_000):
        drift = keys // 10_000
        rows.append(
            [
                f"{keys:,}",
                _seconds(incremental(of, 0)),
                _seconds(incremental(of, 10_000)),
                _seconds(full(of, keys, drift)),
                _bytes(keys * READ_BYTES),
                _bytes(keys * STORED_BYTES),
                _bytes(keys * FILE_BYTES),
                f"{drift:,} look-ups: {_seconds(waiting(CIDS_ENTRIES_READ, drift))}",
                _seconds(waiting(CIDS_ENTRIES_READ, keys)),
            ]
        )
    head = [
        "keys",
        "INCREMENTAL, in sync",
        "10,000 changes",
        "FULL, one in 10,000 to repair",
        "out of PostgreSQL",
        "snapshot on disk",
    ]
    return table([*head, "CID files", "DICT's wait, FULL", "DICT's wait to look all up"], rows)


def provider(of: Coefficients) -> str:
    """Participants in sync, on one machine and by one direct participant's budgets."""
    rows = []
    for participants in (30, 300, 900):
        calls = KEY_TYPES * participants
        rows.append(
            [
                f"{participants:,}",
                _seconds(times(participants, of.partition)),
                f"{calls:,}",
                _seconds(waiting(SYNC_VERIFICATIONS_WRITE, calls)),
                _seconds(waiting(CIDS_EVENTS_LIST, calls)),
                _seconds(waiting(CIDS_FILES_WRITE, calls)),
            ]
        )
    head = ["participants", "one machine's time", "verifications", "their wait", "the wait for a page of each log"]
    return table([*head, "the wait for files of all (FULL)"], rows)


def write(page: Path, measured: Measured) -> None:
    """Put the tables between the markers of a page."""
    of, text = Coefficients.of(measured), page.read_text()
    tables = {
        "coefficients": coefficients(of, measured),
        "checked": checked(of, measured),
        "applied": applied(of),
        "provider": provider(of),
    }
    for name, content in tables.items():
        begin, end = _BEGIN.format(name), _END.format(name)
        text = f"{text.split(begin)[0]}{begin}\n{content}\n{end}{text.split(end)[1]}"
    page.write_text(text)


def _count(number: int) -> str:
    return f"{number:,}" if number else _NOT_MEASURED


def _amount(seconds: float | None, unit: str) -> str:
    if seconds is None:
        return _NOT_MEASURED
    return f"{seconds:.2f} s" if unit == "s" else f"{seconds * 1e6:.2f} µs"


def _bytes(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return _NOT_MEASURED
    for unit, size in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.1f} {unit}"
    return "none" if seconds == 0 else f"{seconds:.1f} s"


@click.command()
@click.option("--results", default=_HERE / "results.json", type=click.Path(path_type=Path), help="The measurements.")
@click.option("--page", default=_HERE.parent / "docs" / "scale.md", type=click.Path(path_type=Path))
def main(results: Path, page: Path) -> None:
    """Compute the tables of `docs/scale.md` from the measurements."""
    write(page, Measured.read(results))


if __name__ == "__main__":
    main()
