"""One HTTP request to DICT and its answer, bounded in time and size.

Source: DICT API 2.6.1, "Requisições": requests are never compressed, answers are with gzip, connections are reused
since a TLS handshake is dear.
"""

import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from vsync_dagster.dict_api.errors import DictIdentityError
from vsync_dagster.dict_api.network import DictNetwork, time_limited
from vsync_dagster.dict_api.transport import DictTransport, has_known_encoding, unpacked
from vsync_dagster.dict_api.xml import MAX_DOCUMENT_BYTES
from vsync_dagster.reconcile.errors import PermanentError, VsyncError

CALL_TIMEOUT = 30.0
_CA = "VSYNC_DICT_CA_FILE, or with a gateway at VSYNC_DICT_GATEWAY_CA_FILE"
_CERTIFICATE = "VSYNC_DICT_CLIENT_CERT_FILE, or with a gateway at VSYNC_DICT_GATEWAY_CLIENT_CERT_FILE"
_LONGEST_RETRY_AFTER = 365 * 86_400.0
# TLS 1.2 tells of a missing certificate as HANDSHAKE_FAILURE; TLS 1.3 tells when the client believes itself connected.
_CERTIFICATE_ALERT = re.compile("ALERT.*(CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED|HANDSHAKE_FAILURE)")
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


def http_client(
    base_url: str,
    *,
    timeout: float = CALL_TIMEOUT,
    ssl_context: ssl.SSLContext | None = None,
    max_connections: int = 20,
    network: DictNetwork | None = None,
    host: str | None = None,
) -> httpx.Client:
    """Return a client for DICT's base URL (such as `https://host:16522/api/v2/`); the caller closes it.

    What it sends and how long it keeps connections is ruled by the network under it (see `dict_api.network`).

    Args:
        base_url: DICT's base URL.
        timeout: seconds to wait for a connection and for each piece of an answer.
        ssl_context: certificates to show and to trust; by default the public certificate authorities.
        max_connections: the size of the pool.
        network: makes the connections; by default over the system's sockets and resolver.
        host: the `Host` to send; by default that of the URL.

    Raises:
        PermanentError: `base_url` is not an http or https URL; the text does not quote it.
    """
    return httpx.Client(
        base_url=_checked(base_url),
        headers={
            "Accept": "application/xml, application/problem+xml",
            "Accept-Encoding": "gzip",
            **({"Host": host} if host else {}),
        },
        timeout=timeout,
        transport=DictTransport(network or DictNetwork(), ssl_context, max_connections),
        follow_redirects=False,
        trust_env=False,
    )


def _checked(base_url: str) -> httpx.URL:
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL:
        url = httpx.URL()
    if url.scheme not in ("http", "https") or not url.host or url.query or url.fragment:
        raise PermanentError(
            "VSYNC_DICT_URL is malformed; it looks like https://host:16522/api/v2/", code="environment-variable"
        )
    return url


@dataclass(frozen=True, slots=True)
class Request:
    """A request of one operation (DICT's operationId); `path` is relative to the base URL."""

    operation: str
    policy: str
    method: str
    path: str
    params: Mapping[str, str] | None = None
    headers: Mapping[str, str] | None = None
    body: bytes | None = None
    key_type: str | None = None
    reference: str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """What came back. The body can hold personal data; it is empty where it was too large or oddly encoded."""

    status: int
    retry_after: str | None
    body: bytes


class NoAnswerError(VsyncError):
    """No whole answer came: `what` is NO_CONNECTION, TIMEOUT or CONNECTION_LOST; `sent`: DICT may have acted on it."""

    code = "dict-unavailable"

    def __init__(self, what: str, *, sent: bool) -> None:
        super().__init__(f"DICT gave no answer: {what}")
        self.what = what
        self.sent = sent


def exchange(http: httpx.Client, request: Request, clock: Callable[[], float], time_limit: float) -> Answer:
    """Send a request and read its whole answer within `time_limit` seconds of `clock`, whatever the peer does.

    Raises:
        NoAnswerError: no connection, no answer in time, or half an answer.
        DictIdentityError: one side does not accept the other's certificate.
    """
    # Whole, so that it is parsed once: httpx would parse the path, and again what comes of it and the base URL.
    url = f"{http.base_url}{request.path}"
    try:
        with (
            time_limited(time_limit, clock),
            http.stream(
                request.method, url, params=request.params, headers=request.headers, content=request.body
            ) as response,
        ):
            return Answer(response.status_code, response.headers.get("Retry-After"), _read_bounded(response))
    except httpx.RequestError as error:
        raise _no_answer(error) from None


def _no_answer(error: httpx.RequestError) -> NoAnswerError | DictIdentityError:
    refusal = _certificate_refusal(error)
    if refusal is not None:
        return DictIdentityError(f"no TLS connection with DICT: {refusal}")
    if isinstance(error, _NOT_SENT):
        return NoAnswerError("NO_CONNECTION", sent=False)
    return NoAnswerError("TIMEOUT" if isinstance(error, httpx.TimeoutException) else "CONNECTION_LOST", sent=True)


def _certificate_refusal(error: BaseException | None) -> str | None:
    """Return who did not accept whose certificate, if that is what a connection failed over."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"its server's certificate is not accepted ({error.verify_message}); look at {_CA}"
        if isinstance(error, ssl.SSLError) and _CERTIFICATE_ALERT.search(error.reason or ""):
            return f"it does not accept ours ({error.reason}); look at {_CERTIFICATE}"
        error = error.__cause__ or error.__context__
    return None


def _read_bounded(response: httpx.Response) -> bytes:
    if not has_known_encoding(response):
        return b""
    body = bytearray()
    for piece in unpacked(response):
        body += piece
        if len(body) > MAX_DOCUMENT_BYTES:
            return b""
    return bytes(body)


def retry_after_seconds(header: str | None, now: datetime) -> float | None:
    """Read a Retry-After header, seconds or an HTTP date; None where there is none or it says nothing sensible."""
    if header is None:
        return None
    if re.fullmatch(r"[0-9]{1,20}", header):
        return min(float(header), _LONGEST_RETRY_AFTER)
    try:
        at = parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return None
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    return min(max((at - now).total_seconds(), 0.0), _LONGEST_RETRY_AFTER)
