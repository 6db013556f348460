"""One request of one person: who, in which language, with what rights, and how it is answered."""

import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qs

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from vsync_dagster.console.language import Translate, choose, label, number, translator
from vsync_dagster.console.sessions import Session, Sessions
from vsync_dagster.console.throttle import Throttle
from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.local_db.errors import NotAllowedError
from vsync_dagster.reconcile.errors import TransientError, VsyncError

_log = logging.getLogger(__name__)

SESSION_COOKIE = "vsync_session"
LANGUAGE_COOKIE = "vsync_language"
_BODY_BYTES = 256 * 1024
_FIELDS = 2_000

Form = Mapping[str, list[str]]


class PageError(Exception):
    """A page cannot be shown; `sentence` says why to the person, and is translated."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class Console:
    """What all visits share. `now` is the time in UTC."""

    database: Database
    sessions: Sessions
    throttle: Throttle
    now: Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Stranger:
    """A request of somebody who need not be logged in."""

    console: Console
    request: Request
    form: Form

    @property
    def language(self) -> str:
        """The language of the answer."""
        headers = self.request.headers
        return choose(self.request.cookies.get(LANGUAGE_COOKIE), headers.get("accept-language", ""))

    @property
    def translate(self) -> Translate:
        """What tells a sentence in the person's language."""
        return translator(self.language)

    def field(self, name: str) -> str:
        """Return what was typed into a field, without blanks around it; empty where nothing was."""
        return self.form.get(name, [""])[0].strip()

    def render(self, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        """Return a page."""
        shared = {
            "t": self.translate,
            "label": partial(label, self.translate),
            "number": partial(number, self.language),
            "language": self.language,
            "session": None,
            "now": self.console.now(),
        }
        here = {"here": _address(self.request), "told": []}
        return HTMLResponse(_templates().get_template(template).render(**shared | here | values), status)


@dataclass(frozen=True, slots=True)
class Visit(Stranger):
    """A request of somebody who is logged in."""

    session: Session

    def connect(self, *, bulk: bool = False) -> AbstractContextManager[Connection]:
        """Open a connection with the person's own rights; `bulk` for what may take longer than a page should."""
        return self.session.database.connect(bulk=bulk)

    def render(self, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        """Return a page that knows who looks at it."""
        mine = {"session": self.session, "told": self.session.take_told()}
        return Stranger.render(self, template, status, **mine | values)


def public(console: Console, handler: Callable[[Stranger], Response]) -> Callable[[Request], Awaitable[Response]]:
    """Return an endpoint for everybody."""

    async def answer(request: Request) -> Response:
        return await run_in_threadpool(handler, Stranger(console, request, await _read_form(request)))

    return _without_tracebacks(console, answer)


def private(console: Console, handler: Callable[[Visit], Response]) -> Callable[[Request], Awaitable[Response]]:
    """Return an endpoint for who is logged in; others are sent to log in. A POST must hold the session's token."""

    async def answer(request: Request) -> Response:
        session = console.sessions.find(request.cookies.get(cookie_name(request, SESSION_COOKIE)))
        if session is None:
            return _to_login(request)
        form = await _read_form(request)
        if request.method == "POST" and not same_token(form.get("csrf", [""])[0], session.csrf):
            raise PageError(403, "This form is not from this session. Load the page again.")
        return await run_in_threadpool(handler, Visit(console, request, form, session))

    return _without_tracebacks(console, answer)


def error_page(console: Console, request: Request, status: int, sentence: str) -> HTMLResponse:
    """Return one clear line."""
    return Stranger(console, request, {}).render("error.html", status, sentence=sentence)


def cookie_name(request: Request, name: str) -> str:
    """Return a cookie's name: with TLS under a prefix by which browsers let nobody else set it."""
    return f"__Host-{name}" if is_secure(request) else name


def is_secure(request: Request) -> bool:
    """Tell whether cookies are for TLS only: always, but on this machine's own loopback address."""
    return request.url.scheme == "https" or not is_loopback(request.url.hostname or "")


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine, to itself alone."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def same_token(given: str, token: str) -> bool:
    """Compare in constant time."""
    return secrets.compare_digest(given.encode(), token.encode())


def _without_tracebacks(
    console: Console, answer: Callable[[Request], Awaitable[Response]]
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            return await answer(request)
        except PageError as error:
            return error_page(console, request, error.status, error.sentence)
        except NotAllowedError:
            return error_page(console, request, 403, "Your role does not have the right to do this.")
        except TransientError:
            return error_page(console, request, 503, "The database cannot be asked just now. Try again in a moment.")
        except VsyncError as error:
            _log.error("a page failed: %s", error)
        except Exception as error:  # noqa: BLE001 - whatever it is, its text may quote a row
            _log.error("a page failed: %s", type(error).__name__)
        return error_page(console, request, 500, "This did not work. Whoever runs the console finds why in its log.")

    return endpoint


async def _read_form(request: Request) -> Form:
    """Return the fields of a form that was sent, as our own pages send them.

    Raises:
        PageError: it is larger than any of ours.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _BODY_BYTES:
            raise PageError(413, "This form is too large.")
    try:
        return parse_qs(body.decode("ascii"), keep_blank_values=True, max_num_fields=_FIELDS, errors="strict")
    except ValueError:
        raise PageError(400, "This form cannot be read.") from None


def _to_login(request: Request) -> Response:
    if "hx-request" in request.headers:
        # A script would put the login page into a part of the page.
        return Response(headers={"HX-Redirect": "/login"})
    return RedirectResponse("/login", 303)


def _address(request: Request) -> str:
    """Return the address of a page within this site; what a form was sent to is no page."""
    if request.method != "GET":
        return "/"
    return f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("vsync_dagster.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["time"] = _time
    return environment


def _time(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"
