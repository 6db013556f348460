"""People with a browser: just enough of one to keep cookies and to send a page's own forms."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape
from typing import Any
from uuid import UUID

import httpx
from psycopg.conninfo import conninfo_to_dict
from starlette.types import ASGIApp

from vsync_dagster.local_db import review
from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.review import ReviewItem
from vsync_dagster_tests.local_db.parts import ISPB, RUN, insert, make_entry
from vsync_dagster_tests.logins import login_with

HERE = "http://127.0.0.1:3010"
REMOVED = {"dict_removed_at": "2026-11-23T01:02:03+00:00"}


class Browser:
    """Asks an application without a network; follows no redirect."""

    def __init__(self, app: ASGIApp, base: str = HERE) -> None:
        self._app = app
        self._base = base
        self.cookies = httpx.Cookies()

    def get(self, path: str, **headers: str) -> httpx.Response:
        """Ask for a page."""
        return self.send("GET", path, headers=headers)

    def post(self, path: str, **fields: str | list[str]) -> httpx.Response:
        """Send fields as they are."""
        return self.send("POST", path, data=fields)

    def send(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Send a request, and keep the cookies of the answer."""
        answer = asyncio.run(self._send(method, path, request))
        self.cookies.update(answer.cookies)
        return answer

    async def _send(self, method: str, path: str, request: dict[str, Any]) -> httpx.Response:
        transport = httpx.ASGITransport(self._app)
        async with httpx.AsyncClient(transport=transport, base_url=self._base, cookies=self.cookies) as client:
            return await client.request(method, path, **request)


class Person(Browser):
    """Somebody with a login of PostgreSQL's."""

    def __init__(self, app: ASGIApp, name: str, password: str, base: str = HERE) -> None:
        super().__init__(app, base)
        self.name = name
        self.password = password
        self.csrf = ""

    def log_in(self, password: str | None = None) -> httpx.Response:
        """Log in, and learn the session's token."""
        token = hidden(self.get("/login").text)
        answer = self.post("/login", csrf=token, name=self.name, password=password or self.password)
        if answer.status_code == 303:
            self.csrf = hidden(self.get("/").text)
        return answer

    def do(self, path: str, **fields: str | list[str]) -> httpx.Response:
        """Send a form with the session's token."""
        return self.post(path, csrf=self.csrf, **fields)


@dataclass(frozen=True)
class Credentials:
    """A login and its password."""

    name: str
    password: str


@contextmanager
def credentials(database: Database, role: str) -> Iterator[Credentials]:
    """Make a login with a role, as long as the block lasts."""
    with login_with(database, role) as login:
        known = conninfo_to_dict(login.url)
        yield Credentials(str(known["user"]), str(known["password"]))


def hidden(page: str) -> str:
    """Return the token of a page's first form."""
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found, page
    return unescape(found[1])


def text_of(answer: httpx.Response) -> str:
    """Return what a page says, in one line."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


def put_up(database: Database, *numbers: int, evidence: dict[str, str] | None = None) -> list[UUID]:
    """Put rows of those numbers up for review, and return their items' ids."""
    entries = [make_entry(number) for number in numbers]
    with database.connect() as conn:
        items = [
            ReviewItem(insert(conn, entry), "CPF", entry.cid(), "MISSING_BACEN", evidence or {}) for entry in entries
        ]
        review.queue(conn, RUN, ISPB, items)
        by_cid = {item.cid: item.id for item in review.open_items(conn)}
    return [by_cid[entry.cid()] for entry in entries]
