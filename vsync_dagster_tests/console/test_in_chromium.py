"""The console as people use it: in a real browser, with and without a mouse, on a phone, and to the end."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from playwright.sync_api import Browser, Page, expect

from vsync_dagster.local_db import participants, reports, review, roles
from vsync_dagster.local_db.database import Database
from vsync_dagster.reconcile.status import Proof
from vsync_dagster.simulator.drift import drift
from vsync_dagster_tests.console.chromium import PHONE, log_in, needs_chromium, running_chromium, served, tab
from vsync_dagster_tests.console.parts import Credentials, credentials, put_up
from vsync_dagster_tests.local_db.parts import ISPB, make_entry
from vsync_dagster_tests.local_db.test_reports import REPORT
from vsync_dagster_tests.world import World, running_world

pytestmark = needs_chromium
# As a sync writes it; what suggests itself is to investigate.
EVIDENCE = {
    "second_look": "GONE",
    "second_look_at": "2026-11-24T05:00:00+00:00",
    "second_look_correlation_id": "c0755ea5f6684185b3cbebf91afa2b04",
}


@pytest.fixture
def chromium() -> Iterator[Browser]:
    with running_chromium() as browser:
        yield browser


@pytest.fixture
def item_id(database: Database) -> UUID:
    """An item of a registered participant, which has a report, days without one, and a closed item."""
    with database.connect() as conn:
        participants.add(conn, ISPB)
        reports.insert(conn, replace(REPORT, sync_day=datetime.now(UTC).date(), dry_run=False))
        conn.execute("update participants set enabled_since = now() - interval '40 days'")
    closed, still_open = put_up(database, 2, 1, evidence=EVIDENCE)
    with database.connect() as conn:
        conn.execute(
            "update manual_review_queue set status = 'CLOSED', action_taken = 'deleted here' where id = %s", [closed]
        )
    return still_open


@pytest.fixture
def address(database: Database) -> Iterator[str]:
    with served(database) as url:
        yield url


@pytest.fixture
def ana(database: Database) -> Iterator[Credentials]:
    with credentials(database, roles.COMPLIANCE) as known:
        yield known


@pytest.fixture
def rui(database: Database) -> Iterator[Credentials]:
    with credentials(database, roles.COMPLIANCE) as known:
        yield known


def test_two_people_delete_a_key_and_the_next_sync_is_in_sync(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_world(database, tmp_path, monkeypatch) as world:
        world.populate(20)
        drift(world.directory, None, "12345678", deletes=1, seed=1)
        world.settle()
        before = world.sync("FULL")
        assert before.missing_bacen == 1
        with database.connect() as conn:
            [item] = review.open_items(conn)
        with (
            served(database) as address,
            credentials(database, roles.COMPLIANCE) as ana,
            credentials(database, roles.COMPLIANCE) as rui,
            running_chromium() as chromium,
        ):
            with tab(chromium) as page:
                log_in(page, address, ana)
                page.get_by_role("link", name=item.masked_key).click()
                expect(page.get_by_text("DICT's log says REMOVED")).to_be_visible()
                page.get_by_label("delete the key here").check()
                page.get_by_label("Reason").fill("DICT removed it, and rightly")
                page.get_by_role("button", name="Decide").click()
                expect(page.get_by_role("status")).to_have_text("Proposed. Somebody else must approve the deletion.")
                expect(page.get_by_role("button", name="Approve the deletion")).to_have_count(0)
            with tab(chromium) as page:
                log_in(page, address, rui)
                page.get_by_label("State").select_option("deletion waits for a second person")
                page.get_by_role("link", name=item.masked_key).click()
                page.get_by_label("Reason").fill("agreed")
                page.get_by_role("button", name="Approve the deletion").click()
                expect(page.get_by_role("status")).to_have_text("The key is deleted here.")
                page.goto(address)
                expect(page.get_by_text("Nothing waits here.")).to_be_visible()
        _assert_in_sync(world)


def _assert_in_sync(world: World) -> None:
    world.settle()
    after = world.sync("FULL")
    assert (after.status, after.verified, after.discrepancies) == ("COMPLETED", True, 0)
    assert {told["proof"] for told in after.key_types.values()} == {Proof.VSYNC}, "nothing is left out of the proof"
    assert world.cids_here() == world.cids_at_dict()


def test_a_filter_and_a_key_need_no_new_page_and_leave_nothing_behind(
    chromium: Browser, address: str, item_id: UUID, ana: Credentials
) -> None:
    with tab(chromium) as page:
        log_in(page, address, ana)
        page.evaluate("window.here = true")
        page.get_by_label("Suggestion").select_option("keep the key")
        expect(page.get_by_text("Nothing waits here.")).to_be_visible()
        page.get_by_label("Suggestion").select_option("investigate")
        expect(page.get_by_role("link", name="*********01")).to_be_visible()
        assert page.evaluate("window.here"), "still the same page"
        page.get_by_role("link", name="*********01").click()
        page.get_by_role("button", name="Show the key").click()
        expect(page.get_by_text(make_entry(1).key)).to_be_visible()
        stored = page.evaluate("[...Object.values(localStorage), ...Object.values(sessionStorage)]")
        assert all(re.fullmatch(r"/[\w/?=&+-]*", value) for value in stored), "an address at most, no page"
        page.reload()
        expect(page.get_by_text(make_entry(1).key)).to_have_count(0)
        page.go_back()
        expect(page.get_by_role("heading", level=1)).to_have_text("Review queue")


def test_what_a_decision_needs_is_asked_for(chromium: Browser, address: str, item_id: UUID, ana: Credentials) -> None:
    with tab(chromium) as page:
        log_in(page, address, ana)
        page.goto(f"{address}/items/{item_id}")
        expect(page.get_by_label("Ask again on")).to_be_hidden()
        page.get_by_label("keep the key").check()
        expect(page.get_by_label("Ask again on")).to_be_visible()
        expect(page.get_by_label("Who investigates")).to_be_hidden()


def test_the_keyboard_is_enough(chromium: Browser, address: str, item_id: UUID, ana: Credentials) -> None:
    with tab(chromium) as page:
        page.goto(address)
        expect(page.get_by_label("Your PostgreSQL role")).to_be_focused()
        page.keyboard.type(ana.name)
        page.keyboard.press("Tab")
        page.keyboard.type(ana.password)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("Review queue")
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        tab_to(page, "*********01")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Decide")).to_be_visible()
        tab_to(page, "radio")
        page.keyboard.press("Space")
        tab_to(page, "textarea")
        page.keyboard.type("DICT removed it")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_contain_text("Proposed.")


def tab_to(page: Page, wanted: str) -> None:
    """Press Tab until what has the focus is, or says, what is wanted; what has it can be seen to have it."""
    for _ in range(40):
        page.keyboard.press("Tab")
        here = "document.activeElement"
        seen = page.evaluate(f"[{here}.type || '', {here}.innerText, getComputedStyle({here}).outlineStyle]")
        assert seen[2] != "none", f"no focus to be seen at {seen}"
        if wanted in seen[:2]:
            return
    pytest.fail(f"Tab does not lead to {wanted}")


def test_two_people_close_an_item_on_a_phone_by_keyboard_in_portuguese(
    chromium: Browser, address: str, item_id: UUID, ana: Credentials, rui: Credentials
) -> None:
    """From a flagged key to a closed item, as docs/compliance.md tells it."""
    settings = {"viewport": PHONE, "locale": "pt-BR"}
    with tab(chromium, **settings) as page:
        open_the_item(page, address, ana)
        tab_to(page, "radio")
        page.keyboard.press("Space")
        give_a_reason(page, "o DICT removeu a chave", "Decidir")
        expect(page.get_by_role("status")).to_have_text("Exclusão proposta. Outra pessoa deve aprová-la.")
        expect(page.get_by_text("exclusão aguarda a segunda aprovação")).to_be_visible()
    with tab(chromium, **settings) as page:
        open_the_item(page, address, rui)
        expect(page.get_by_role("heading", name=f"Exclusão proposta por {ana.name}")).to_be_visible()
        give_a_reason(page, "de acordo", "Aprovar a exclusão")
        expect(page.get_by_role("status")).to_have_text("A chave foi excluída da nossa base.")
        tab_to(page, "Itens encerrados")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("Itens encerrados")
        row = page.get_by_role("row").filter(has_text="*********01")
        for words in (ana.name, "o DICT removeu a chave", rui.name, "de acordo", "excluída da nossa base"):
            expect(row).to_contain_text(words)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def open_the_item(page: Page, address: str, known: Credentials) -> None:
    """Log in and go to the item, by keyboard and in Portuguese."""
    page.goto(address)
    for typed in (known.name, known.password):
        page.keyboard.type(typed)
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Fila de revisão")
    tab_to(page, "*********01")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("*********01")


def give_a_reason(page: Page, reason: str, button: str) -> None:
    """Type a reason, and press the button behind it."""
    tab_to(page, "textarea")
    page.keyboard.type(reason)
    tab_to(page, button)
    page.keyboard.press("Enter")


def test_a_phone_shows_all_of_it(chromium: Browser, address: str, item_id: UUID, ana: Credentials) -> None:
    with tab(chromium, viewport=PHONE, has_touch=True) as page:
        log_in(page, address, ana)
        for path in ("/", "/closed", f"/items/{item_id}", "/reports", f"/reports/{REPORT.id}"):
            page.goto(f"{address}{path}")
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= PHONE["width"], f"{path} scrolls sideways: {width} pixels"


def test_no_script_is_needed(chromium: Browser, address: str, item_id: UUID, ana: Credentials) -> None:
    with tab(chromium, java_script_enabled=False) as page:
        log_in(page, address, ana)
        page.get_by_label("Key type").select_option("CPF")
        page.get_by_role("button", name="Show").click()
        page.get_by_role("link", name="*********01").click()
        page.get_by_role("button", name="Show the key").click()
        expect(page.get_by_text(make_entry(1).key)).to_be_visible()
        page.get_by_label("investigate", exact=True).check()
        page.get_by_label("Who investigates").fill("rui")
        page.get_by_label("Reason").fill("ask Bacen")
        page.get_by_role("button", name="Decide").click()
        expect(page.get_by_text("being investigated by rui")).to_be_visible()


def test_every_control_has_a_name_and_every_page_its_landmarks(
    chromium: Browser, address: str, item_id: UUID, ana: Credentials
) -> None:
    with tab(chromium) as page:
        page.goto(f"{address}/login")
        pages = ["/login", "/", "/closed", f"/items/{item_id}", "/reports", f"/reports/{REPORT.id}"]
        log_in(page, address, ana)
        for path in pages:
            page.goto(f"{address}{path}")
            tree = page.locator("body").aria_snapshot()
            assert (
                re.findall(r"- (textbox|combobox|button|link|radio|checkbox|img)\s*(?:\[[^\]]*\])?:?$", tree, re.M)
                == []
            )
            for landmark in ("banner", "main", "contentinfo"):
                expect(page.get_by_role(landmark)).to_have_count(1)
            expect(page.get_by_role("heading", level=1)).to_have_count(1)
            assert page.evaluate("document.documentElement.lang") == "en"


def test_text_stands_out_from_what_is_behind_it(
    chromium: Browser, address: str, item_id: UUID, ana: Credentials
) -> None:
    """WCAG 2.1, 1.4.3 (AA): a contrast of 4.5 to 1."""
    with tab(chromium) as page:
        log_in(page, address, ana)
        for path in ("/", "/closed", f"/items/{item_id}", "/reports", f"/reports/{REPORT.id}"):
            page.goto(f"{address}{path}")
            assert page.evaluate(_LOW_CONTRAST) == [], path


_LOW_CONTRAST = """() => {
  const channels = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const color = channels(getComputedStyle(each).backgroundColor);
      if (color.length === 3 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  const low = [];
  for (const element of document.querySelectorAll("body *")) {
    const text = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!text || !element.checkVisibility()) continue;
    const [a, b] = [light(channels(getComputedStyle(element).color)), light(behind(element))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) low.push(element.outerHTML.slice(0, 80));
  }
  return low;
}"""
