"""Each case of `make bench` runs at a small size; how long it takes is nobody's business here."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.model import Coefficients, Measured, full, incremental, pages, waiting
from vsync_dagster.dict_api.budget import CIDS_FILES_WRITE, SYNC_VERIFICATIONS_WRITE
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


OF = Coefficients(
    sync=1.0,
    changes=2.0,
    read=1e-6,
    told_apart=2e-6,
    recomputed=10e-6,
    file=3e-6,
    fix=1e-3,
    look_up=None,
    partition=None,
)


def test_the_model_follows_changes_in_an_incremental_sync_and_keys_and_drift_in_a_full_one() -> None:
    assert incremental(OF, 0) == 1.0
    assert incremental(OF, 100) == 3.0
    assert incremental(OF, 1_100) == pytest.approx(4.0)
    assert full(OF, 1_000_000, 0) == pytest.approx(1.0 + 15.0)
    assert full(OF, 1_000_000, 1_000) == pytest.approx(1.0 + 15.0 + 1.0 + 1.0)


def test_the_model_waits_for_what_a_full_bucket_does_not_hold() -> None:
    assert waiting(SYNC_VERIFICATIONS_WRITE, 50) == 0
    assert waiting(SYNC_VERIFICATIONS_WRITE, 60) == pytest.approx(60)
    assert waiting(CIDS_FILES_WRITE, 240) == pytest.approx(86_400)
    assert [pages(changes) for changes in (0, 1, 200, 201)] == [0, 1, 1, 2]


def test_what_rests_on_a_case_that_was_not_measured_is_not_told() -> None:
    of = Coefficients.of(Measured({}))
    assert incremental(of, 0) is None
    assert full(of, 1_000_000, 0) is None


def test_the_page_on_scale_is_what_the_measurements_say(tmp_path: Path) -> None:
    page, ours = tmp_path / "scale.md", (ROOT / "docs" / "scale.md").read_text()
    page.write_text(re.sub(r"(: begin -->\n).*?(<!-- )", r"\1\2", ours, flags=re.DOTALL))

    subprocess.run([sys.executable, "-m", "benchmarks.model", "--page", page], cwd=ROOT, check=True)

    assert page.read_text() == ours, "`python -m benchmarks.model` writes it anew"
