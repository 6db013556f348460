"""The network under the HTTP client for DICT: what bounds an attempt in time, and what leaves this machine.

It stands below httpx and httpcore, so that neither a peer that sends one byte at a time nor a library that instruments
them gets around it.

* **Deadline.** Each wait for the network, whatever it is for, ends when the attempt's time does (`time_limited`).
* **Headers.** Manual das Interfaces, 2.1.8: only the headers that it lists may be sent, and `Host` without a port; DICT
  closes the connection or refuses the request otherwise. A tracing header that something else added is dropped here.
* **Idle connections.** API 2.12.1, recommendations on performance: an answer's `Keep-Alive: timeout=N` says after how
  many seconds DICT closes an idle connection. One is not used for longer than that, less a second.
* **New connections** resolve the host's name again: DICT changes sites by DNS (security manual 3.7).
"""

import queue
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from ssl import SSLContext
from typing import Any

import httpcore

DEFAULT_KEEP_ALIVE = 5.0
_KEEP_ALIVE_MARGIN = 1.0
_PIECE = 16_384
_LISTED_HEADERS = frozenset(
    (
        b"accept",
        b"accept-encoding",
        b"connection",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"cookie",
        b"host",
        b"max-forwards",
        b"transfer-encoding",
        b"user-agent",
        b"via",
        b"pi-requestingparticipant",
        b"pi-payerid",
        b"pi-endtoendid",
    )
)
_PORT = re.compile(rb":[0-9]*$")
_KEEP_ALIVE_TIMEOUT = re.compile(r"(?:^|[\s,;])timeout\s*=\s*([0-9]{1,9})(?![0-9])", re.IGNORECASE)

Resolve = Callable[[str, int], list[str]]
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class _Deadline:
    clock: Clock
    at: float


_deadline: ContextVar[_Deadline | None] = ContextVar("vsync_dict_deadline", default=None)


@contextmanager
def time_limited(seconds: float, clock: Clock = time.monotonic) -> Iterator[None]:
    """Bound everything that this thread does inside over a `DictNetwork`: after `seconds` of `clock`, it times out."""
    token = _deadline.set(_Deadline(clock, clock() + seconds))
    try:
        yield
    finally:
        _deadline.reset(token)


def keep_alive_seconds(header: str | None) -> float:
    """Return for how long an idle connection may be used again, by the answer's `Keep-Alive` header."""
    found = _KEEP_ALIVE_TIMEOUT.search(header or "")
    return max(0.0, int(found[1]) - _KEEP_ALIVE_MARGIN) if found else DEFAULT_KEEP_ALIVE


def addresses(host: str, port: int) -> list[str]:
    """Resolve a host's name, each time anew.

    Raises:
        OSError: nobody knows it.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


class DictNetwork(httpcore.NetworkBackend):
    """Connections to DICT; see the module.

    Args:
        resolve: gives the addresses of a host.
        clock: seconds, for idle connections.
    """

    def __init__(self, resolve: Resolve = addresses, clock: Clock = time.monotonic) -> None:
        self._sockets = httpcore.SyncBackend()
        self._resolve = resolve
        self.clock = clock
        self.generation = 0

    def renew(self) -> None:
        """Use no connection again that exists now: the site that they lead to may be off."""
        self.generation += 1

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address that answers; each gets its share of the time.

        Raises:
            httpcore.ConnectError, httpcore.ConnectTimeout: none does.
        """
        failure: Exception = httpcore.ConnectError("the name has no address")
        found = self._addresses(host, port, timeout)
        for number, address in enumerate(found):
            left = time_left(timeout, httpcore.ConnectTimeout)
            share = None if left is None else left / (len(found) - number)
            try:
                connected = self._sockets.connect_tcp(address, port, share, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return DictStream(connected, self)
        raise failure

    def _addresses(self, host: str, port: int, timeout: float | None) -> list[str]:
        """Resolve within the attempt's time: the system's resolver has none that we could set."""
        answers: queue.SimpleQueue[list[str] | Exception] = queue.SimpleQueue()

        def ask() -> None:
            try:
                answers.put(self._resolve(host, port))
            except (OSError, UnicodeError) as error:
                answers.put(error)

        threading.Thread(target=ask, name="resolve-dict", daemon=True).start()
        try:
            answer = answers.get(timeout=time_left(timeout, httpcore.ConnectTimeout))
        except queue.Empty:
            raise httpcore.ConnectTimeout("the name was not resolved in time") from None
        if isinstance(answer, Exception):
            raise httpcore.ConnectError("the name is not resolved") from answer
        return answer


class DictStream(httpcore.NetworkStream):
    """One connection, plain or TLS."""

    def __init__(self, stream: httpcore.NetworkStream, network: DictNetwork) -> None:
        self._stream = stream
        self._network = network
        self._generation = network.generation
        self._last_used = network.clock()
        self._body_left = 0
        self.keep_alive = DEFAULT_KEEP_ALIVE

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what has arrived, `max_bytes` at most."""
        data = self._stream.read(max_bytes, time_left(timeout, httpcore.ReadTimeout))
        self._last_used = self._network.clock()
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write a request's head, in one piece as h11 writes it and with listed headers only, or a part of its body."""
        if not buffer:
            return
        if self._body_left:
            self._body_left -= len(buffer)
        else:
            buffer, self._body_left = permitted_head(buffer)
        for start in range(0, len(buffer), _PIECE):
            self._stream.write(buffer[start : start + _PIECE], time_left(timeout, httpcore.WriteTimeout))
        self._last_used = self._network.clock()

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()

    def start_tls(
        self, ssl_context: SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Return the connection with TLS over it."""
        try:
            left = time_left(timeout, httpcore.ConnectTimeout)
            return DictStream(self._stream.start_tls(ssl_context, server_hostname, left), self._network)
        except BaseException:
            self.close()
            raise

    def get_extra_info(self, info: str) -> Any:
        """Return a property of the connection.

        `is_readable` is what httpcore's pool asks of an idle connection, to close it if it is no longer good.
        """
        if info == "is_readable" and self._is_stale():
            return True
        return self._stream.get_extra_info(info)

    def _is_stale(self) -> bool:
        idle = self._network.clock() - self._last_used
        return idle >= self.keep_alive or self._generation != self._network.generation


def permitted_head(head: bytes) -> tuple[bytes, int]:
    """Return a request's head as it may be sent, and how many bytes of body follow it.

    Raises:
        httpcore.LocalProtocolError: it is not whole, or says no length.
    """
    lines, ending = head.split(b"\r\n"), head[-4:]
    headers = [(line.partition(b":")[0].strip().lower(), line) for line in lines[1:-2]]
    lengths = [int(line.partition(b":")[2]) for name, line in headers if name == b"content-length"]
    if ending != b"\r\n\r\n" or any(name == b"transfer-encoding" for name, _ in headers):
        raise httpcore.LocalProtocolError("a request to DICT has a whole head, and a body of known length")
    kept = [_PORT.sub(b"", line) if name == b"host" else line for name, line in headers if name in _LISTED_HEADERS]
    return b"\r\n".join([lines[0], *kept, b"", b""]), sum(lengths)


def time_left(timeout: float | None, expired: type[Exception]) -> float | None:
    """Return for how many seconds a wait may last that has a time-out of its own, or none.

    Raises:
        Exception: `expired`; the attempt's time is over.
    """
    deadline = _deadline.get()
    if deadline is None:
        return timeout
    left = deadline.at - deadline.clock()
    if left <= 0:
        raise expired("the attempt's time is over")
    return left if timeout is None else min(left, timeout)
