"""What stands in front of DICT and knows nothing of it: it looks at a request's headers alone, and signs nothing.

Source: Manual das Interfaces, 2.1.8. What it does to a request that breaks the rule was seen in production: a `Host`
with a port ends the connection without an answer, a header that is not listed is answered with 400 invalidHeader.
"""

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from vsync_dagster.dict_api.messages import Problem
from vsync_dagster.dict_api.xml import serialize
from vsync_dagster.simulator.wire import ResetResponse

LISTED = frozenset(
    (
        "accept",
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "cookie",
        "host",
        "max-forwards",
        "transfer-encoding",
        "user-agent",
        "via",
        "pi-requestingparticipant",
        "pi-payerid",
        "pi-endtoendid",
    )
)


class Gateway:
    """Lets requests through whose headers are permitted."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        app = self._app
        if any(name == "host" and has_port(value) for name, value in headers):
            app = ResetResponse()
        elif not {name for name, _ in headers} <= LISTED:
            document = Problem("invalidHeader", 400, "Invalid header").to_xml()
            app = Response(serialize(document), 400, media_type="application/problem+xml")
        await app(scope, receive, send)


def has_port(host: str) -> bool:
    """Tell whether a `Host` header names a port; `[::1]` does not."""
    return ":" in host.rpartition("]")[2]
