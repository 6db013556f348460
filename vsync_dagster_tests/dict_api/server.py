"""A real HTTP server that answers as a test tells it to."""

import contextlib
import gzip
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Received:
    """A request as it arrived; header names are in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    connection: int


@dataclass(frozen=True)
class Reply:
    """What to answer, and how badly.

    Attributes:
        status: the HTTP status.
        body: the body, before gzip.
        headers: further headers.
        delay: seconds before the first byte.
        compressed: send the body gzipped.
        reset: send nothing and reset the connection.
        cut: announce the whole body, send so many bytes of it and close the connection.
        drip: seconds between the bytes of the body.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    compressed: bool = False
    reset: bool = False
    cut: int | None = None
    drip: float | None = None


EXHAUSTED = Reply(418, b"the test's script has no further answer")


class ScriptedServer:
    """Answers from a script, one reply a request, or by a function; keeps what it received."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.host = host
        self.scheme = "http" if tls is None else "https"
        self.received: list[Received] = []
        self.answer: Callable[[Received], Reply] | None = None
        self._script: list[Reply] = []
        self._lock = threading.Lock()
        self._http = _Server(self, (host, port), tls)

    @property
    def url(self) -> str:
        """The base URL, of the shape that DICT's has."""
        return f"{self.scheme}://{self.host}:{self.port}/api/v2/"

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._http.server_port

    def script(self, *replies: Reply) -> None:
        """Append replies to the script."""
        self._script.extend(replies)

    def reply_to(self, request: Received) -> Reply:
        """Return the reply to a request."""
        with self._lock:
            self.received.append(request)
            if self.answer is None:
                return self._script.pop(0) if self._script else EXHAUSTED
        return self.answer(request)

    def run(self) -> None:
        """Serve until `stop`."""
        self._http.serve_forever(poll_interval=0.01)

    def stop(self) -> None:
        """Stop serving."""
        self._http.shutdown()
        self._http.server_close()


@contextlib.contextmanager
def scripted_server(
    host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> Iterator[ScriptedServer]:
    """Run a server in a thread."""
    server = ScriptedServer(host, port, tls)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, scripted: ScriptedServer, address: tuple[str, int], tls: ssl.SSLContext | None) -> None:
        self.scripted = scripted
        super().__init__(address, _Handler)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients that go away are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 5
    disable_nagle_algorithm = True
    server: _Server

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length", 0))
        request = Received(
            method=self.command,
            path=parts.path,
            query={name: values[0] for name, values in parse_qs(parts.query).items()},
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(length),
            connection=self.client_address[1],
        )
        self._send(self.server.scripted.reply_to(request))

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _send(self, reply: Reply) -> None:
        time.sleep(reply.delay)
        if reply.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            return
        body = gzip.compress(reply.body) if reply.compressed else reply.body
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.compressed:
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self._send_body(body, reply)

    def _send_body(self, body: bytes, reply: Reply) -> None:
        if reply.drip is not None:
            for byte in body:
                self.wfile.write(bytes([byte]))
                time.sleep(reply.drip)
            return
        self.wfile.write(body if reply.cut is None else body[: reply.cut])
        self.close_connection = self.close_connection or reply.cut is not None

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""
