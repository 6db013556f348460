"""A real browser, and the console served to it."""

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import uvicorn
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from vsync_dagster.console.app import create_app
from vsync_dagster.console.server import config
from vsync_dagster.local_db.database import Database
from vsync_dagster_tests.console.parts import Credentials

CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: apt-get install chromium")
PHONE = {"width": 360, "height": 740}
SECONDS = 30.0


@contextmanager
def running_chromium() -> Iterator[Browser]:
    """Run a browser; as root it has no sandbox. As long as it runs, this thread has an event loop that runs."""
    with sync_playwright() as playwright:
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=sandbox)
        yield browser
        browser.close()


@contextmanager
def served(database: Database) -> Iterator[str]:
    """Serve the console from a thread, and yield its address."""
    server = uvicorn.Server(config(create_app(database), "127.0.0.1", 0))
    thread = threading.Thread(target=server.run, name="console", daemon=True)
    thread.start()
    try:
        deadline = time.monotonic() + SECONDS
        while not server.started:
            assert time.monotonic() < deadline, "the console did not start"
            time.sleep(0.02)
        [port] = [socket.getsockname()[1] for one in server.servers for socket in one.sockets]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def tab(chromium: Browser, **settings: object) -> Iterator[Page]:
    """Open a browser of somebody's own, which must not complain: of its own rules, of scripts, of what is missing."""
    complaints: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    context = chromium.new_context(**settings)  # type: ignore[arg-type]
    context.set_default_timeout(SECONDS * 1_000)
    page = context.new_page()
    page.on("console", listen)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    assert complaints == []


def log_in(page: Page, address: str, known: Credentials) -> None:
    """Log in by the form."""
    page.goto(address)
    page.get_by_label("Your PostgreSQL role").fill(known.name)
    page.get_by_label("Password").fill(known.password)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Review queue")
