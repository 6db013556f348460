"""Dagster's UI as people use it: a partition is materialized from it, and what it shows then is docs/images."""

import random
import re
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Page, expect

from vsync_dagster.local_db import reports
from vsync_dagster.partitions import open_partitions_for
from vsync_dagster.reconcile.calendar import TIMEZONE
from vsync_dagster.simulator.drift import drift
from vsync_dagster_tests.console.chromium import needs_chromium, running_chromium
from vsync_dagster_tests.daemon.processes import Machine
from vsync_dagster_tests.world import ISPB, World

pytestmark = needs_chromium
IMAGES = Path(__file__).parents[2] / "docs" / "images"
GRAPH, PLOTS = {"width": 1700, "height": 560}, {"width": 1200, "height": 990}
KEYS, CREATES, UPDATES = 300, 7, 4
# The page is Dagster's, and a run begins with a process that imports Dagster.
PATIENCE_MS = 180_000


@pytest.mark.long
def test_a_partition_is_materialized_from_the_ui(world: World, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    writing = pytestconfig.getoption("--write-screenshots")
    folder, days = (IMAGES, 12) if writing else (tmp_path, 2)
    today = datetime.now(ZoneInfo(TIMEZONE)).date()
    machine = Machine(tmp_path / "machine", {"VSYNC_FIRST_DAY": (today - timedelta(days=days)).isoformat()})
    world.populate(KEYS)
    with machine.instance() as instance, machine.code_location() as port:
        open_partitions_for(instance, [ISPB])
        _live_through(replace(world, instance=instance, settings={"log_lag_seconds": 0.0}), today, days)
        drift(world.directory, None, ISPB, creates=CREATES, updates=UPDATES, seed="today")
        workspace = machine.workspace(port)
        with machine.daemon(workspace), machine.webserver(workspace) as address, running_chromium() as chromium:
            page = chromium.new_page(viewport=GRAPH)  # type: ignore[arg-type]
            page.set_default_timeout(PATIENCE_MS)
            graph = f"{address}/locations/vsync_dagster/asset-groups/vsync/lineage"
            page.goto(graph)
            _materialize_today(page)
            page.goto(graph)
            _take_the_graph(page, folder)
            page.set_viewport_size(PLOTS)  # type: ignore[arg-type]
            page.goto(f"{address}/assets/sync_report")
            _take_the_plots(page, folder)

    with world.database.connect() as connection:
        report = reports.list_reports(connection)[0]
    assert (report.sync_day, report.participant_ispb, report.status) == (today, ISPB, "COMPLETED")
    assert (report.entries_created, report.entries_updated, report.verified) == (CREATES, UPDATES, True)
    assert world.cids_here() >= world.cids_at_dict()


def _live_through(world: World, today: date, days: int) -> None:
    """Sync on each of the days before today; on each, something had drifted."""
    for ago in range(days, 0, -1):
        chance = random.Random(ago)
        creates, updates = chance.randint(3, 20), chance.randint(2, 12)
        drift(world.directory, None, ISPB, creates=creates, updates=updates, deletes=ago % 2, seed=ago)
        assert world.sync(day=today - timedelta(days=ago)).status == "COMPLETED"


def _materialize_today(page: Page) -> None:
    """Click through from the graph to the end of the run."""
    page.get_by_role("button", name="Materialize all").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Latest").click()
    dialog.get_by_text("Select a partition or create one").click()
    page.get_by_role("menuitem").filter(has_text=re.compile(f"^{ISPB}")).click()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Launch 1 run").click()
    page.get_by_text("View", exact=True).click()
    page.wait_for_url(re.compile("/runs/"))
    expect(page.get_by_text("Success", exact=True).first).to_be_visible(timeout=PATIENCE_MS)


def _take_the_graph(page: Page, folder: Path) -> None:
    page.get_by_text("Hide navigation").click()
    expect(page.get_by_text("5 / 5 Passed")).to_be_visible(timeout=PATIENCE_MS)
    # The graph fits itself to the page, and its nodes fill, in the time that Dagster takes for it.
    page.wait_for_timeout(5_000)
    page.screenshot(path=folder / "dagster-assets.png")


def _take_the_plots(page: Page, folder: Path) -> None:
    page.get_by_role("button", name="Plots").click()
    for figure in ("discrepancies", "duration_seconds", "entries_created", "entries_for_review", "entries_synced"):
        expect(page.get_by_text(figure, exact=True).first).to_be_visible(timeout=PATIENCE_MS)
    expect(page.locator("canvas").nth(5)).to_be_visible(timeout=PATIENCE_MS)
    page.wait_for_timeout(3_000)
    page.screenshot(path=folder / "dagster-plots.png")
