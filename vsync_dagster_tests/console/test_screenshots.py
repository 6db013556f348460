"""The pictures of docs/images, of made-up keys: taken in every run, kept by `make screenshots`."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from playwright.sync_api import Browser, Page, expect

from vsync_dagster.cli.demo_logins import demo_logins
from vsync_dagster.local_db import participants, reports, review
from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.reports import Report
from vsync_dagster.simulator.drift import drift
from vsync_dagster_tests.console.chromium import PHONE, log_in, needs_chromium, running_chromium, served, tab
from vsync_dagster_tests.console.parts import Credentials
from vsync_dagster_tests.world import DAY, ISPB, World, running_world

pytestmark = needs_chromium
IMAGES = Path(__file__).parents[2] / "docs" / "images"
WIDE = {"width": 1200, "height": 800}
DAYS_BEFORE, MISSING = 23, 9


@pytest.fixture
def world(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A participant without keys, and a DICT."""
    with running_world(database, tmp_path, monkeypatch) as running:
        yield running


def test_the_pictures_show_what_they_are_to_show(world: World, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    folder = IMAGES if pytestconfig.getoption("--write-screenshots") else tmp_path
    report = _lived_in(world)
    with world.database.connect() as conn:
        item = review.open_items(conn)[0]
    with (
        served(world.database) as address,
        demo_logins(world.database) as passwords,
        running_chromium() as chromium,
    ):
        name, password = next(iter(passwords.items()))
        known = Credentials(name, password)
        with tab(chromium, viewport=WIDE) as page:
            log_in(page, address, known)
            _picture(page, folder, "queue")
            page.goto(f"{address}/items/{item.id}")
            page.get_by_label("delete the key here").check()
            page.get_by_label("Reason").fill("DICT removed it on the owner's request")
            _picture(page, folder, "item")
            page.goto(f"{address}/reports?month={DAY:%Y-%m}")
            _picture(page, folder, "calendar")
            page.goto(f"{address}/reports/{report.id}")
            _picture(page, folder, "report")
        _on_a_phone(chromium, address, known, folder)
    assert len(list(folder.glob("console-*.png"))) == 5


def _lived_in(world: World) -> Report:
    """Give a participant keys, some of which DICT has removed, and a month of reports; return the last."""
    with world.database.connect() as conn:
        participants.change(conn, ISPB, name="Banco Demonstração")
    world.populate(300)
    drift(world.directory, None, ISPB, creates=9, updates=14, deletes=12, seed=1)
    world.settle()
    last = world.sync("FULL")
    with world.database.connect() as conn:
        conn.execute("update participants set enabled_since = %s", [datetime(2026, 11, 1, tzinfo=UTC)])
        for number in set(range(1, DAYS_BEFORE + 1)) - {MISSING}:
            status = {5: "FAILED", 12: "PARTIAL", 19: "PARTIAL"}.get(number, "COMPLETED")
            earlier = replace(
                last,
                id=UUID(int=number),
                run_id=f"run-{number}",
                sync_day=DAY - timedelta(days=number),
                sync_timestamp=last.sync_timestamp - timedelta(days=number),
                status=status,
                verified=status == "COMPLETED",
            )
            reports.insert(conn, earlier)
    return last


def _on_a_phone(chromium: Browser, address: str, known: Credentials, folder: Path) -> None:
    with tab(chromium, viewport=PHONE, has_touch=True, locale="pt-BR") as page:
        page.goto(address)
        page.get_by_label("Seu papel no PostgreSQL").fill(known.name)
        page.get_by_label("Senha").fill(known.password)
        page.get_by_role("button", name="Entrar").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Fila de revisão")
        _picture(page, folder, "phone")


def _picture(page: Page, folder: Path, name: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.screenshot(path=folder / f"console-{name}.png")
