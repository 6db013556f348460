"""Each case of `make bench` runs at a small size; how long it takes is nobody's business here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from vsync_dagster.local_db.database import Database
from vsync_dagster.simulator.local_base import seed_local
from vsync_dagster.simulator.population import generate
from vsync_dagster_tests.world import ISPB

ROOT = Path(__file__).parents[1]
CASES = sorted(path.stem for path in (ROOT / "benchmarks" / "cases").glob("[a-z]*.py"))

PAGE = "before\n<!-- table: begin -->\nthe last one\n<!-- table: end -->\nafter\n"


@pytest.mark.parametrize("case", CASES)
def test_a_case_runs_and_is_written_down(database: Database, tmp_path: Path, case: str) -> None:
    if case == "peers" and not (ROOT / ".venv-peers").exists():
        pytest.skip("`make bench-peers` was not run")
    with database.connect(bulk=True) as connection:
        seed_local(connection, generate(ISPB, 500, 1, key_types=["EVP"]))
    results, page = tmp_path / "results.json", tmp_path / "page.md"
    page.write_text(PAGE)
    options = {"keys": 500, "rounds": 1, "case": case, "output": results, "page": page, "database-url": database.url}

    subprocess.run(
        [sys.executable, "-m", "benchmarks", *(f"--{name}={value}" for name, value in options.items())],
        cwd=ROOT,
        check=True,
    )

    lines = json.loads(results.read_text())["results"]
    assert lines
    assert all(line["keys"] == 500 and line["ratio"] >= 0 for line in lines)
    text = page.read_text()
    assert text.startswith("before\n<!-- table: begin -->\n")
    assert text.endswith("<!-- table: end -->\nafter\n")
    assert "the last one" not in text
    assert text.count(f"\n| {lines[0]['case']} |") == len(lines)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["benchmarks.backlog", "--events=500", "--participants=7"],
            ["500 events of 7 participants: ", "each participant's in order"],
        ),
        (["benchmarks.years", "--years=1", "--participants=3", "--rounds=1"], ["1,095 reports", "| 93 |"]),
    ],
)
def test_what_is_measured_beside_nothing_runs(arguments: list[str], told: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", *arguments], cwd=ROOT, check=True, capture_output=True, text=True)
    assert all(words in done.stdout for words in told), done.stdout
