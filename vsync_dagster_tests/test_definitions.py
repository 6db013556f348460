"""The code location loads anywhere: nothing read, nothing asked; and what it defines."""

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg

from vsync_dagster.definitions import defs
from vsync_dagster.partitions import sync_partitions

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "vsync_dagster"
ASSETS = ["applied_fixes", "bacen_snapshot", "discrepancies", "local_snapshot", "sync_report"]

# Reading modules is what importing does; anything else is told.
_IMPORT = """
import sys
import sysconfig
allowed = tuple({sys.prefix, sys.base_prefix, sysconfig.get_paths()["stdlib"], sys.argv[1], "/usr", "/etc", "/proc",
                 "/sys", "/dev"})
seen = []

def watch(event, arguments):
    if event == "open" and isinstance(arguments[0], str) and arguments[0].startswith("/"):
        if not arguments[0].startswith(allowed):
            seen.append(arguments[0])
    if event in ("socket.connect", "os.system"):
        seen.append(event)

sys.addaudithook(watch)
import vsync_dagster.definitions
print(seen)
"""


def test_importing_reads_and_asks_nothing(tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("VSYNC_", "DAGSTER_"))}
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT, str(ROOT)],
        cwd=tmp_path,
        env={**kept, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert done.stdout == "[]\n", done.stderr


def test_every_asset_has_its_partitions_and_says_whether_it_can_be_rebuilt() -> None:
    specs = {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}

    assert sorted(specs) == ASSETS
    for spec in specs.values():
        assert spec.partitions_def == sync_partitions
        assert spec.group_name == "vsync"
        assert spec.kinds
        assert spec.description
        assert any(word in spec.description.lower() for word in ("rebuil", "re-run", "each run"))


def test_the_assets_form_one_line() -> None:
    deps = {
        spec.key.to_user_string(): {dep.asset_key.to_user_string() for dep in spec.deps}
        for spec in defs.resolve_all_asset_specs()
    }

    assert deps == {
        "local_snapshot": set(),
        "bacen_snapshot": {"local_snapshot"},
        "discrepancies": {"local_snapshot", "bacen_snapshot"},
        "applied_fixes": {"discrepancies"},
        "sync_report": {"applied_fixes"},
    }


def test_no_asset_has_a_backfill_policy() -> None:
    """With any policy, runs of a backfill have no partition key and escape the limit of one sync a participant."""
    graph = defs.resolve_asset_graph()

    assert [graph.get(dg.AssetKey(name)).backfill_policy for name in ASSETS] == [None] * len(ASSETS)


def test_no_module_with_dagster_definitions_postpones_its_annotations() -> None:
    """Dagster reads the annotations of assets, resources and hooks when they are defined."""
    files = [path for path in PACKAGE.rglob("*.py") if "import dagster" in path.read_text()]

    assert files
    assert not [path.name for path in files if "from __future__ import annotations" in path.read_text()]
