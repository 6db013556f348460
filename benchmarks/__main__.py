"""Runs the cases and writes `results.json` and the table of `docs/benchmarks.md`."""

import json
import os
import platform
import tempfile
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import psycopg

from benchmarks.data import make_table
from benchmarks.measure import PEERS, Place, best
from benchmarks.world import forget
from vsync_dagster.embedded.postgres import embedded_postgres

CASES = (
    *("compare", "difference", "cid_file", "cid_sets", "vsyncs", "integrity", "fixes"),
    *("look_ups", "incremental", "incremental_changes", "full_sync", "small_participants", "peers"),
)
# Those that need a PostgreSQL, and those that need its table too.
_DATABASE_CASES = {*CASES} - {"difference", "cid_file", "cid_sets"}
_TABLE_CASES = {"compare", "vsyncs", "integrity", "full_sync", "peers"}
_PACKAGES = ("numpy", "polars", "duckdb", "pyarrow", "adbc-driver-postgresql", "psycopg")
# Nothing here has to survive a crash, so no side waits for the disk.
_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "shared_buffers": "256MB"}
_HERE = Path(__file__).parent
_BEGIN, _END = "<!-- table: begin -->", "<!-- table: end -->"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table: `ratio` is how many times as long the reference takes; `reach`, what it should be."""

    case: str
    keys: int
    seconds: float
    reference: str
    reference_seconds: float
    ratio: float
    peak_mib: float
    reference_peak_mib: float
    reach: float


@click.command()
@click.option("--keys", default=1_000_000, show_default=True, help="Keys of the participant, and CIDs of a set.")
@click.option("--rounds", default=1, show_default=True, help="How often each way is measured; the fastest counts.")
@click.option("--case", "cases", multiple=True, type=click.Choice(CASES), help="Only these cases.")
@click.option("--output", default=_HERE / "results.json", type=click.Path(path_type=Path), help="Where results go.")
@click.option("--page", default=_HERE.parent / "docs" / "benchmarks.md", type=click.Path(path_type=Path))
@click.option("--database-url", help="A PostgreSQL that already holds the table; without it an embedded one is made.")
def main(keys: int, rounds: int, cases: tuple[str, ...], output: Path, page: Path, database_url: str | None) -> None:
    """Measure each case beside its references, on the same data, in turn, each in a process of its own."""
    chosen = cases or tuple(case for case in CASES if case != "peers" or PEERS.exists())
    if "peers" in chosen and not PEERS.exists():
        raise click.UsageError("the case peers needs `make bench-peers` first")
    # Where PostgreSQL, as root another user, may enter.
    with tempfile.TemporaryDirectory(prefix="vsync-bench-") as folder:
        if database_url is None and _DATABASE_CASES & {*chosen}:
            with embedded_postgres(Path(folder), keep=False, settings=_SETTINGS) as url:
                if _TABLE_CASES & {*chosen}:
                    make_table(url, keys)
                results = _results(chosen, Place(folder, url, keys), rounds)
        else:
            results = _results(chosen, Place(folder, database_url or "", keys), rounds)
    output.write_text(json.dumps(results, indent=1) + "\n")
    write_page(page, results)


def _results(cases: tuple[str, ...], place: Place, rounds: int) -> dict[str, Any]:
    try:
        lines = [asdict(line) for case in cases for line in _lines(case, place, rounds)]
    finally:
        if place.url:
            forget(place.url)
    return {"machine": _machine(), "versions": _versions(place), "results": lines}


def _lines(name: str, place: Place, rounds: int) -> list[Line]:
    case = import_module(f"benchmarks.cases.{name}")
    pythons = {way: str(PEERS) for way in getattr(case, "ELSEWHERE", ())}
    found = best(name, [case.OURS, *case.AGAINST], place, rounds, pythons)
    ours, lines = found[case.OURS], []
    for way, (reference, reach) in case.AGAINST.items():
        other = found[way]
        ratio = other.seconds / ours.seconds
        line = Line(
            case.CASE,
            place.keys,
            round(ours.seconds, 3),
            reference,
            round(other.seconds, 3),
            round(ratio, 2),
            round(ours.peak_mib),
            round(other.peak_mib),
            round(reach, 2),
        )
        print(
            f"{line.case}: {line.seconds} s, {line.peak_mib} MiB; {reference}: {line.reference_seconds} s", flush=True
        )
        lines.append(line)
    return lines


def _machine() -> dict[str, Any]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {"system": platform.platform(), "cpus": os.cpu_count(), "memory_gib": round(memory, 1)}


def _versions(place: Place) -> dict[str, str]:
    versions = {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}
    if place.url:
        with psycopg.connect(place.url) as connection:
            versions["postgresql"] = connection.execute("show server_version").fetchall()[0][0]
    return versions


def write_page(page: Path, results: dict[str, Any]) -> None:
    """Put the results between the markers of a page."""
    text = page.read_text()
    before, after = text.split(_BEGIN)[0], text.split(_END)[1]
    machine = ", ".join(f"{name} {value}" for name, value in (results["machine"] | results["versions"]).items())
    head = ["case", "keys", "VSYNC", "peak", "against", "takes", "peak", "ratio", "reach"]
    rows = [
        [line["case"], f"{line['keys']:,}", f"{line['seconds']} s", f"{line['peak_mib']} MiB", line["reference"],
         f"{line['reference_seconds']} s", f"{line['reference_peak_mib']} MiB", f"{line['ratio']}",
         f"≥ {line['reach']}"]
        for line in results["results"]
    ]  # fmt: skip
    table = "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])
    page.write_text(f"{before}{_BEGIN}\n{machine}\n\n{table}\n{_END}{after}")


if __name__ == "__main__":
    main()
