"""The page in a browser that has no network: it opens, it sorts, it prints, and runs nothing that somebody typed."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request

from vsync_dagster.audit import page as page_module
from vsync_dagster.audit.page import Evidence, render
from vsync_dagster.local_db import audit, chains
from vsync_dagster.local_db.database import Database
from vsync_dagster_tests.audit.conftest import FIRST_DAY, FIXED, HELD, HOSTILE, period
from vsync_dagster_tests.console.chromium import CHROMIUM, running_chromium
from vsync_dagster_tests.local_db.parts import ISPB
from vsync_dagster_tests.local_db.test_chains import tamper


def rendered(database: Database) -> str:
    with database.connect() as conn:
        findings = list(chains.verify(conn, ISPB))
        tables = audit.read(conn, period(), datetime.now(UTC))
        known = chains.chains(conn, ISPB)
    return render(Evidence(period(), tables, known, findings, datetime.now(UTC), "eva"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's chromium."""
    if CHROMIUM is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    with running_chromium() as running:
        yield running


@pytest.fixture
def opened(browser: Browser, evidence: Database, tmp_path: Path) -> Iterator[tuple[Page, list[str]]]:
    """The page, opened from a file without a network, and whatever it asks for or complains of."""
    path = tmp_path / "report.html"
    path.write_text(rendered(evidence), encoding="utf-8")
    context = browser.new_context(offline=True)
    page = context.new_page()
    noticed: list[str] = []

    def asked(request: Request) -> None:
        if request.url != path.as_uri():
            noticed.append(request.url)

    page.on("request", asked)
    page.on("console", lambda message: noticed.append(message.text))
    page.on("pageerror", lambda error: noticed.append(str(error)))
    page.goto(path.as_uri())
    yield page, noticed
    context.close()


def column(page: Page, table: str, name: str) -> list[str]:
    heads = page.locator(f"#{table} th").all_inner_texts()
    place = [head.rstrip(" ▲▼") for head in heads].index(name) + 1
    return page.locator(f"#{table} tbody td:nth-child({place})").all_inner_texts()


def test_it_opens_without_a_network_and_asks_for_nothing(opened: tuple[Page, list[str]]) -> None:
    page, noticed = opened
    assert page.title() == f"VSYNC: {ISPB}, {FIRST_DAY} to {period().last_day}"
    assert page.locator("#figures svg").count() == 4
    assert "All rows fit" in page.locator("#chain").inner_text()
    cells = page.locator("#figures svg").first.locator("rect")
    assert cells.count() == 20
    assert "CPF: OK, DICT answered OK to the VSync" in cells.first.locator("title").inner_html()
    assert page.locator("#calls td").all_inner_texts()[5] == "ab" * 16
    assert noticed == []


def test_its_tables_sort_by_numbers_as_numbers(opened: tuple[Page, list[str]]) -> None:
    page, noticed = opened
    head = page.locator("#reports th button", has_text="discrepancies")
    head.click()
    head.click()
    assert column(page, "reports", "discrepancies") == [str(number) for number in reversed(range(10))]
    assert page.locator("#reports th[aria-sort=descending]").count() == 1
    head.focus()
    page.keyboard.press("Enter")
    assert column(page, "reports", "discrepancies") == [str(number) for number in range(10)]
    page.locator("#verifications th button", has_text="key type").click()
    assert column(page, "verifications", "key type") == ["CPF"] * 10 + ["EMAIL"] * 10
    assert noticed == []


def test_what_people_and_servers_wrote_is_shown_and_not_run(opened: tuple[Page, list[str]]) -> None:
    page, noticed = opened
    assert HOSTILE in column(page, "review_steps", "reason")
    assert HOSTILE in column(page, "calls", "result")
    assert page.title().startswith("VSYNC:")
    assert page.locator("script").count() == 1
    assert noticed == []


def test_a_script_that_got_in_all_the_same_does_not_run(browser: Browser, evidence: Database, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    page_with_script = rendered(evidence).replace("</body>", "<script>document.title = 'broken'</script></body>")
    path.write_text(page_with_script, encoding="utf-8")
    page = browser.new_page()
    page.goto(path.as_uri())
    assert page.title().startswith("VSYNC:")
    page.close()


def test_it_prints(opened: tuple[Page, list[str]]) -> None:
    page, _ = opened
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert page.pdf()[:5] == b"%PDF-"


def test_it_holds_no_key_and_says_what_does_not_fit(evidence: Database) -> None:
    assert HELD.key not in rendered(evidence)
    assert FIXED.key not in rendered(evidence)
    tamper(evidence, "update sync_reports set verified = not verified where run_id = 'run-3'")
    assert "sync_reports 00000000-0000-0000-0000-000000000003: changed" in rendered(evidence)


def test_of_too_many_rows_the_last_are_shown_and_the_rest_counted(
    evidence: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_module, "ROWS", 4)
    assert "Only the last 4 rows are on this page; 6 earlier ones are in the\nfiles." in rendered(evidence)
