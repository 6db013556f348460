"""What leaves this machine for DICT, over which connection, and how long anything may take: over real sockets."""

import contextlib
import gzip
import itertools
import socket
import ssl
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpcore
import httpx
import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from vsync_dagster.dict_api import budget
from vsync_dagster.dict_api.cid_file import DownloadRule, download
from vsync_dagster.dict_api.errors import CidFileError, DictIdentityError
from vsync_dagster.dict_api.exchange import NoAnswerError, Request, exchange, http_client
from vsync_dagster.dict_api.network import DictNetwork, keep_alive_seconds, permitted_head
from vsync_dagster.dict_api.transport import unpacked
from vsync_dagster_tests.dict_api.parts import VSYNC, FakeTime, Line, cid_set_file, problem, verification, verify
from vsync_dagster_tests.dict_api.server import Received, Reply, ScriptedServer, scripted_server

HERE = DownloadRule(frozenset({"127.0.0.1"}), plain_http=True)
ASKED = Request("listCidSetEvents", budget.CIDS_EVENTS_LIST, "GET", "cids/events")

# Headers

ADDED = {
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "tracestate": "a=b",
    "baggage": "a=b",
    "x-datadog-trace-id": "1",
    "X-Forwarded-For": "10.0.0.1",
    "newrelic": "a",
}
LISTED = {"accept", "accept-encoding", "connection", "content-length", "content-type", "host", "user-agent"}


def instrument_client(patch: pytest.MonkeyPatch) -> None:
    """As tracing libraries do: wrap what every client of the process calls."""
    send = httpx.Client.send

    def traced(self: httpx.Client, request: httpx.Request, **how: Any) -> httpx.Response:
        request.headers.update(ADDED)
        return send(self, request, **how)

    patch.setattr(httpx.Client, "send", traced)


def instrument_connections(patch: pytest.MonkeyPatch) -> None:
    """As tracing libraries do that go below httpx."""
    handle = httpcore.HTTPConnection.handle_request

    def traced(self: httpcore.HTTPConnection, request: httpcore.Request) -> httpcore.Response:
        request.headers += [(name.encode(), value.encode()) for name, value in ADDED.items()]
        return handle(self, request)

    patch.setattr(httpcore.HTTPConnection, "handle_request", traced)


@pytest.mark.parametrize("instrument", [lambda _: None, instrument_client, instrument_connections])
def test_only_listed_headers_are_sent_and_host_without_a_port(
    server: ScriptedServer,
    line: Line,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    instrument: Callable[[pytest.MonkeyPatch], None],
) -> None:
    server.script(verification(VSYNC), verification(VSYNC), Reply(404), Reply(200))
    instrument(monkeypatch)

    verify(line.client())
    verify(line.client())
    with contextlib.suppress(httpx.HTTPError):
        line.http.get(server.url, headers={"PI-RequestingParticipant": "12345678"})
    file = cid_set_file(url=server.url, bytes=0, sha256=EMPTY_SHA256)
    download(line.http, file, tmp_path / "cids", rule=HERE, max_bytes=1)

    assert len(server.received) == 4
    for request in server.received:
        assert request.headers["host"] == "127.0.0.1"
        assert set(request.headers) <= LISTED | {"pi-requestingparticipant"}
        assert request.headers["accept-encoding"] == "gzip"
    assert server.received[0].headers["content-type"] == "application/xml"
    assert server.received[0].body == server.received[1].body != b""
    assert len({request.connection for request in server.received}) == 1, "body and head are told apart"


EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize(
    ("host", "sent"),
    [
        (b"dict.example:16522", b"dict.example"),
        (b"dict.example", b"dict.example"),
        (b"[::1]:16522", b"[::1]"),
        (b"[::1]", b"[::1]"),
    ],
)
def test_a_head_is_rewritten(host: bytes, sent: bytes) -> None:
    head = b"POST /a HTTP/1.1\r\nhOsT: %s\r\nB3: 1\r\nContent-Length: 7\r\n\r\n"

    assert permitted_head(head % host) == (head.replace(b"B3: 1\r\n", b"") % sent, 7)


@pytest.mark.parametrize(
    "head", [b"GET / HTTP/1.1\r\nHost: a\r\n", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"]
)
def test_a_request_that_cannot_be_filtered_is_not_sent(head: bytes) -> None:
    with pytest.raises(httpcore.LocalProtocolError):
        permitted_head(head)


# Connections


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 5.0),
        ("", 5.0),
        ("max=100", 5.0),
        ("timeout=30", 29.0),
        ("timeout=30, max=100", 29.0),
        ("max=5, Timeout = 7", 6.0),
        ("timeout=1", 0.0),
        ("timeout=0", 0.0),
        ("xtimeout=9", 5.0),
        ("timeout=-1", 5.0),
    ],
)
def test_the_announced_time_is_read(header: str | None, seconds: float) -> None:
    assert keep_alive_seconds(header) == seconds


@pytest.mark.parametrize(
    ("header", "idle", "connections"),
    [
        ("timeout=20", 18.9, 1),
        ("timeout=20", 19.0, 2),
        ("timeout=1", 0.0, 2),
        (None, 4.9, 1),
        (None, 5.0, 2),
    ],
)
def test_an_idle_connection_is_closed_before_dict_closes_it(
    server: ScriptedServer, header: str | None, idle: float, connections: int
) -> None:
    headers = {} if header is None else {"Keep-Alive": header}
    server.answer = lambda _: Reply(200, b"x", headers)
    clock = FakeTime()
    with http_client(server.url, network=DictNetwork(clock=clock.clock)) as http:
        exchange(http, ASKED, time.monotonic, 10)
        clock.sleep(idle)
        exchange(http, ASKED, time.monotonic, 10)

    assert len({request.connection for request in server.received}) == connections


class Sites:
    """A name that leads to one of two servers, which listen on the same port."""

    def __init__(self, sites: list[ScriptedServer]) -> None:
        self.sites = sites
        self.current = 0
        self.asked: list[str] = []

    def resolve(self, host: str, port: int) -> list[str]:
        assert port == self.sites[0].port
        self.asked.append(host)
        return [self.sites[self.current].host]

    def switching(self, failure: Reply) -> Callable[[Received], Reply]:
        """Answer once; then the site is switched, and this one answers so for ever."""
        replies = iter([verification(VSYNC)])

        def answer(_: Received) -> Reply:
            reply = next(replies, failure)
            if reply is failure:
                self.current = 1
            return reply

        return answer


@pytest.fixture
def sites() -> Iterator[Sites]:
    with scripted_server("127.0.0.1") as first, scripted_server("127.0.0.2", first.port) as second:
        yield Sites([first, second])


@pytest.mark.parametrize(
    "failure", [problem(503, "ServiceUnavailable"), Reply(503, b"<html>no such site</html>"), Reply(reset=True)]
)
def test_a_switch_of_sites_needs_no_restart(sites: Sites, failure: Reply) -> None:
    """A name resolved once and kept would lead to the site that is off until the process ends."""
    first, second = sites.sites
    first.answer = sites.switching(failure)
    second.answer = lambda _: verification(VSYNC)
    with http_client(f"http://dict.example:{first.port}/", network=DictNetwork(sites.resolve)) as http:
        line = Line(http)
        verify(line.client())
        verify(line.client())

    assert [call.result for call in line.calls][0::2] == ["OK", "OK"]
    assert (len(first.received), len(second.received)) == (2, 1)
    assert {request.headers["host"] for request in second.received} == {"dict.example"}
    assert sites.asked == ["dict.example"] * 2


def test_no_connection_to_a_site_that_is_off_is_used_again(sites: Sites) -> None:
    """There are several in the pool: one 503 is enough to leave them all."""
    first, second = sites.sites
    together = threading.Barrier(2)

    def wait_for_both(_: Received) -> Reply:
        together.wait(10)
        return Reply(200)

    first.answer = wait_for_both
    second.answer = lambda _: Reply(200)
    with http_client(f"http://dict.example:{first.port}/", network=DictNetwork(sites.resolve)) as http:
        both = [threading.Thread(target=exchange, args=(http, ASKED, time.monotonic, 10)) for _ in range(2)]
        for one in both:
            one.start()
        for one in both:
            one.join(10)
        first.answer = lambda _: Reply(503)
        sites.current = 1
        statuses = [exchange(http, ASKED, time.monotonic, 10).status for _ in range(3)]

    assert statuses == [503, 200, 200]
    assert len(second.received) == 2


def test_another_address_is_tried_where_one_does_not_answer(server: ScriptedServer) -> None:
    server.answer = lambda _: Reply(200)
    with http_client(
        f"http://dict.example:{server.port}/", network=DictNetwork(lambda *_: ["127.0.0.9", "127.0.0.1"])
    ) as http:
        assert exchange(http, ASKED, time.monotonic, 10).status == 200


@pytest.mark.parametrize("failure", [OSError("unknown"), UnicodeError("no name")])
def test_a_name_that_nobody_knows_is_no_connection(failure: Exception) -> None:
    def resolve(*_: object) -> list[str]:
        raise failure

    with (
        http_client("http://dict.example/", network=DictNetwork(resolve)) as http,
        pytest.raises(NoAnswerError, match="NO_CONNECTION") as error,
    ):
        exchange(http, ASKED, time.monotonic, 10)
    assert not error.value.sent


def test_only_new_connections_meet_a_new_certificate(tmp_path: Path) -> None:
    """DICT's servers change certificates while connections are kept: both authorities are named ahead of the day."""
    old, new = trustme.CA(), trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    old.issue_cert("127.0.0.1").configure_cert(context)
    old_only, both = (ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) for _ in range(2))
    old.configure_trust(old_only)
    old.configure_trust(both)
    new.configure_trust(both)
    networks = DictNetwork(), DictNetwork()
    with scripted_server(tls=context) as server:
        server.answer = lambda _: Reply(200)
        with (
            http_client(server.url, ssl_context=old_only, network=networks[0]) as unprepared,
            http_client(server.url, ssl_context=both, network=networks[1]) as prepared,
        ):
            for http in (unprepared, prepared):
                assert exchange(http, ASKED, time.monotonic, 10).status == 200
            new.issue_cert("127.0.0.1").configure_cert(context)
            for http in (unprepared, prepared):
                assert exchange(http, ASKED, time.monotonic, 10).status == 200, "a kept connection"
            for network in networks:
                network.renew()
            assert exchange(prepared, ASKED, time.monotonic, 10).status == 200
            with pytest.raises(DictIdentityError, match="VSYNC_DICT_CA_FILE"):
                exchange(unprepared, ASKED, time.monotonic, 10)


# Time


def trickled(head: bytes, endless: bytes) -> Callable[[socket.socket], None]:
    """Send something, and then something else over and over, one byte at a time."""

    def send(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(head)
        for byte in itertools.cycle(endless):
            connection.sendall(bytes([byte]))
            time.sleep(0.0005)

    return send


@contextlib.contextmanager
def raw_server(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """Serve connections, one after the other, until the client goes away."""
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with connection, contextlib.suppress(OSError):
                serve(connection)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
PEERS: Mapping[str, Callable[[socket.socket], None]] = {
    "a header that does not end": trickled(b"HTTP/1.1 200 OK\r\nX: ", b"x"),
    "headers without end": trickled(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n"),
    "1xx answers without end": trickled(b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
    "a body byte by byte": trickled(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"x"),
    "a chunk size that does not end": trickled(CHUNKED + b"1;", b"x"),
    "chunks without end": trickled(CHUNKED, b"1\r\nx\r\n"),
    "a trailer that does not end": trickled(CHUNKED + b"1\r\nx\r\n0\r\nX: ", b"x"),
    "gzip without content": trickled(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1000000\r\n\r\n" + gzip.compress(b"")[:10],
        b"\x00\x00\x00\xff\xff",
    ),
}


@pytest.mark.parametrize("peer", PEERS)
def test_an_attempt_ends_in_its_time_whatever_the_peer_does(peer: str) -> None:
    """The time here is counted in waits for the network, of which there is one for every few bytes."""
    ticks = itertools.count()
    with raw_server(PEERS[peer]) as port, http_client(f"http://127.0.0.1:{port}/") as http:
        with pytest.raises(NoAnswerError, match="TIMEOUT") as error:
            exchange(http, ASKED, lambda: next(ticks), 40)
        assert error.value.sent


@pytest.mark.parametrize("peer", PEERS)
def test_a_download_ends_in_its_time_whatever_the_peer_does(peer: str, tmp_path: Path) -> None:
    ticks = itertools.count()
    with raw_server(PEERS[peer]) as port, http_client(f"http://127.0.0.1:{port}/") as http:
        file = cid_set_file(url=f"http://127.0.0.1:{port}/a", bytes=1_000_000, sha256="0" * 64)
        with pytest.raises(CidFileError, match="takes too long, by the 121 s for its size"):
            download(http, file, tmp_path / "cids", rule=HERE, max_bytes=10**9, attempts=1, clock=lambda: next(ticks))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("hello", [b"", b"\x16\x03\x03\x40\x00"])
def test_a_handshake_ends_in_its_time(hello: bytes) -> None:
    """The TLS library waits for a record of 16 KiB that comes byte by byte."""
    context = ssl.create_default_context()
    with (
        raw_server(trickled(hello, b"\0") if hello else _drain) as port,
        http_client(f"https://127.0.0.1:{port}/", ssl_context=context) as http,
        pytest.raises(NoAnswerError, match="NO_CONNECTION"),
    ):
        exchange(http, ASKED, time.monotonic, 0.3)


def _drain(connection: socket.socket) -> None:
    while connection.recv(65_536):
        pass


def test_a_resolver_that_does_not_answer_ends_in_the_attempts_time() -> None:
    released = threading.Event()

    def resolve(*_: object) -> list[str]:
        released.wait(30)
        return []

    with http_client("http://dict.example/", network=DictNetwork(resolve)) as http:
        with pytest.raises(NoAnswerError, match="NO_CONNECTION"):
            exchange(http, ASKED, time.monotonic, 0.2)
        released.set()


def test_a_body_that_is_not_taken_ends_in_the_attempts_time() -> None:
    """The peer reads nothing: the buffers on the way fill up."""
    ended = threading.Event()

    def wait(_: socket.socket) -> None:
        ended.wait(30)

    request = Request("createSyncVerification", budget.CIDS_EVENTS_LIST, "POST", "x", body=b"x" * 50_000_000)
    with raw_server(wait) as port, http_client(f"http://127.0.0.1:{port}/") as http:
        try:
            with pytest.raises(NoAnswerError, match="TIMEOUT"):
                exchange(http, request, time.monotonic, 0.5)
        finally:
            ended.set()


# Memory

BOMB = gzip.compress(b"\0" * 168 * 1024 * 1024, 9)
PACKED = {"Content-Encoding": "gzip"}


def peak(run: Callable[[], object]) -> int:
    """The most memory that Python's objects took meanwhile, in bytes."""
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_an_answer_is_unpacked_with_a_bound(server: ScriptedServer, line: Line) -> None:
    server.script(Reply(200, BOMB, PACKED))
    bodies = []

    most = peak(lambda: bodies.append(exchange(line.http, ASKED, time.monotonic, 30).body))

    assert bodies == [b""], "too large to be held"
    assert most < 6 * 1024 * 1024


def test_a_file_is_unpacked_with_a_bound(server: ScriptedServer, line: Line, tmp_path: Path) -> None:
    server.script(Reply(200, BOMB, PACKED))
    file = cid_set_file(url=server.url, bytes=100_000_000, sha256="0" * 64)

    def fetch() -> None:
        with pytest.raises(CidFileError, match="longer than DICT says"):
            download(line.http, file, tmp_path / "cids", rule=HERE, max_bytes=10**9, attempts=1)

    assert peak(fetch) < 6 * 1024 * 1024


def answered(chunks: list[bytes]) -> httpx.Response:
    return httpx.Response(200, headers=PACKED, content=iter(chunks))


@given(st.binary(max_size=2_000), st.integers(0, 200_000), st.integers(1, 3_000))
def test_what_was_packed_is_unpacked(content: bytes, zeros: int, size: int) -> None:
    whole = content + b"\0" * zeros
    packed = gzip.compress(whole)
    chunks = [packed[start : start + size] for start in range(0, len(packed), size)]

    pieces = list(unpacked(answered(chunks)))

    assert b"".join(pieces) == whole
    assert all(0 < len(piece) <= 65_536 for piece in pieces)
    with pytest.raises(httpx.DecodingError):
        list(unpacked(answered([packed[:-9]])))
