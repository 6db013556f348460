"""The application: which address shows what."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.resources import files

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from vsync_dagster.console import bulk, closed, item, login, queue, reporting
from vsync_dagster.console.headers import SecurityHeaders
from vsync_dagster.console.sessions import Sessions
from vsync_dagster.console.throttle import Throttle
from vsync_dagster.console.visit import Console, error_page, private, public
from vsync_dagster.local_db.database import Database


def _utc_now() -> datetime:
    return datetime.now(UTC)


def create_app(
    database: Database,
    *,
    now: Callable[[], datetime] = _utc_now,
    clock: Callable[[], float] = time.monotonic,
) -> Starlette:
    """Return the console as an ASGI application; its sessions live as long as it does.

    Args:
        database: whose server and name people connect to, each with their own login; its own is not used.
        now: the time in UTC.
        clock: seconds that never go back.
    """
    console = Console(database, Sessions(clock), Throttle(clock), now)

    def page(path: str, handler: Callable[..., Response], method: str = "GET") -> Route:
        return Route(path, private(console, handler), methods=[method])

    async def not_found(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        return error_page(console, request, status, "There is no such page.")

    return Starlette(
        routes=[
            Route("/login", public(console, login.show_login), methods=["GET"]),
            Route("/login", public(console, login.log_in), methods=["POST"]),
            Route("/language", public(console, login.set_language), methods=["GET"]),
            page("/logout", login.log_out, "POST"),
            page("/", queue.show_queue),
            page("/closed", closed.show_closed),
            page("/items/{item_id:uuid}", item.show_item),
            page("/items/{item_id:uuid}/decision", item.decide, "POST"),
            page("/items/{item_id:uuid}/approval", item.approve, "POST"),
            page("/items/{item_id:uuid}/key", item.show_key, "POST"),
            page("/bulk", bulk.show_bulk),
            page("/bulk", bulk.decide_bulk, "POST"),
            page("/reports", reporting.show_calendar),
            page("/reports/{report_id:uuid}", reporting.show_report),
            Mount("/static", StaticFiles(directory=str(files("vsync_dagster.console") / "static"))),
        ],
        middleware=[Middleware(SecurityHeaders)],
        exception_handlers={HTTPException: not_found},
    )
