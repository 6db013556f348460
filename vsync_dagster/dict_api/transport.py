"""httpx over `DictNetwork`: HTTP/1.1 with kept connections, and bodies that are unpacked with a bound."""

import ssl
import zlib
from collections.abc import Iterable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import httpcore
import httpx

from vsync_dagster.dict_api.network import DictNetwork, DictStream, keep_alive_seconds, time_left

_PIECE = 65_536
_SITE_IS_OFF = 503
_GZIP = 16 + zlib.MAX_WBITS


class DictTransport(httpx.BaseTransport):
    """Sends httpx's requests over a pool of connections of a `DictNetwork`.

    After a 503, and after a connection that broke or timed out, no connection that exists is used again: what is tried
    next resolves DICT's name anew.
    """

    def __init__(self, network: DictNetwork, ssl_context: ssl.SSLContext | None, max_connections: int) -> None:
        self._network = network
        self._pool = httpcore.ConnectionPool(
            ssl_context=ssl_context,
            max_connections=max_connections,
            max_keepalive_connections=max_connections,
            http1=True,
            http2=False,
            network_backend=network,
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, and return its answer, whose body is still to be read."""
        assert isinstance(request.stream, httpx.SyncByteStream)  # noqa: S101 - httpx's synchronous client sends no other
        url = request.url
        sent = httpcore.Request(
            method=request.method,
            url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.stream,
            extensions=_bounded(request.extensions),
        )
        with _as_httpx(self._network):
            response = self._pool.handle_request(sent)
        answer = httpx.Response(
            response.status,
            headers=response.headers,
            stream=_Body(response, self._network),
            extensions=response.extensions,
        )
        stream = response.extensions.get("network_stream")
        if isinstance(stream, DictStream):
            stream.keep_alive = keep_alive_seconds(answer.headers.get("Keep-Alive"))
        if response.status == _SITE_IS_OFF:
            self._network.renew()
        return answer

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()


def _bounded(extensions: MutableMapping[str, Any]) -> dict[str, Any]:
    """Return a request's extensions with the wait for a free connection bounded too; the network bounds all others."""
    timeouts = extensions.get("timeout", {})
    return {**extensions, "timeout": {**timeouts, "pool": time_left(timeouts.get("pool"), httpx.PoolTimeout)}}


class _Body(httpx.SyncByteStream):
    def __init__(self, response: httpcore.Response, network: DictNetwork) -> None:
        self._response = response
        self._network = network

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx(self._network):
            yield from self._response.iter_stream()

    def close(self) -> None:
        self._response.close()


_SAME_IN_HTTPX: dict[type[Exception], type[httpx.TransportError]] = {
    httpcore.ConnectTimeout: httpx.ConnectTimeout,
    httpcore.ReadTimeout: httpx.ReadTimeout,
    httpcore.WriteTimeout: httpx.WriteTimeout,
    httpcore.PoolTimeout: httpx.PoolTimeout,
    httpcore.ConnectError: httpx.ConnectError,
    httpcore.ReadError: httpx.ReadError,
    httpcore.WriteError: httpx.WriteError,
    httpcore.LocalProtocolError: httpx.LocalProtocolError,
    httpcore.RemoteProtocolError: httpx.RemoteProtocolError,
    httpcore.UnsupportedProtocol: httpx.UnsupportedProtocol,
}


@contextmanager
def _as_httpx(network: DictNetwork) -> Iterator[None]:
    """Raise httpx's error in place of httpcore's of the same name."""
    try:
        yield
    except tuple(_SAME_IN_HTTPX) as error:
        if not isinstance(error, httpcore.PoolTimeout):
            network.renew()
        raise _SAME_IN_HTTPX[type(error)](str(error)) from error


def has_known_encoding(response: httpx.Response) -> bool:
    """Return whether a body is plain, or packed with gzip once: nested encodings could unpack to any size."""
    return _encoding(response) in ("gzip", "identity")


def _encoding(response: httpx.Response) -> str:
    return str(response.headers.get("Content-Encoding", "identity")).strip().lower()


def unpacked(response: httpx.Response) -> Iterator[bytes]:
    """Return a body of known encoding, unpacked, in pieces of 64 KiB at most.

    httpx unpacks at once what one read brought, and gzip packs a thousandfold: 64 KiB become 64 MiB.

    Raises:
        httpx.DecodingError: it is not gzip, or ends early.
        httpx.TransportError: it did not arrive whole, or in time.
    """
    return _gunzipped(response.iter_raw()) if _encoding(response) == "gzip" else response.iter_raw()


def _gunzipped(chunks: Iterable[bytes]) -> Iterator[bytes]:
    unpacking = zlib.decompressobj(_GZIP)
    try:
        for chunk in chunks:
            left = chunk
            while left and not unpacking.eof:
                if piece := unpacking.decompress(left, _PIECE):
                    yield piece
                left = unpacking.unconsumed_tail
        while not unpacking.eof and (piece := unpacking.decompress(unpacking.unconsumed_tail, _PIECE)):
            yield piece
    except zlib.error:
        raise httpx.DecodingError("not gzip") from None
    if not unpacking.eof:
        raise httpx.DecodingError("the gzip stream ends early")
