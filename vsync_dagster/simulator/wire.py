"""Answers that break on the way: what a proxy or a network does, done on purpose.

ASGI has no word for a connection that is reset, so uvicorn's protocol is told to hand its transport along.
"""

import asyncio
import socket
import struct
from typing import cast

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_TRANSPORT = "simulator.transport"
_LINGER_NOT = struct.pack("ii", 1, 0)


class TransportProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, with the connection's transport in each request's scope."""

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self.scope["state"][_TRANSPORT] = self.transport


class ResetResponse(Response):
    """No answer at all: the connection is reset (RST)."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del send
        transport = _transport(scope)
        connection = transport.get_extra_info("socket")
        # Closing with a linger time of zero sends RST instead of FIN.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        transport.abort()
        await _disconnected(receive)


class CutResponse(Response):
    """An answer whose connection ends in the middle of the body."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Marked as encoded, so that no middleware changes the length that is not kept.
        headers = [*self.raw_headers, (b"content-encoding", b"identity")]
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        half = bytes(self.body)[: len(self.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
        _transport(scope).close()
        await _disconnected(receive)


class TrickleResponse(Response):
    """An answer that comes byte by byte, one every `pause` seconds: each byte keeps a naive reader's hope alive."""

    pause: float = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del receive
        # Marked as encoded, so that no middleware gathers the bytes.
        headers = [*self.raw_headers, (b"content-encoding", b"identity")]
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        for byte in bytes(self.body):
            if _transport(scope).is_closing():
                return
            await send({"type": "http.response.body", "body": bytes([byte]), "more_body": True})
            await asyncio.sleep(self.pause)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def peer_name(scope: Scope) -> str | None:
    """Return the common name of the certificate that a connection came with; None without one."""
    transport = scope["state"].get(_TRANSPORT)
    tls = transport.get_extra_info("ssl_object") if transport is not None else None
    subject = (tls.getpeercert() or {}).get("subject", ()) if tls is not None else ()
    return next((value for part in subject for name, value in part if name == "commonName"), None)


def _transport(scope: Scope) -> asyncio.Transport:
    try:
        return cast("asyncio.Transport", scope["state"][_TRANSPORT])
    except KeyError:
        raise RuntimeError("connection faults need the simulator's own server") from None


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
