"""CID set files: waiting for one, downloading it, and reading it. Nothing is believed before its hash is right.

Source: DICT API 2.12.1, createCidSetFile: one CID a line, LF, in no order. The file is served by another host than the
API.
"""

import hashlib
import logging
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

import httpx
import numpy as np
import numpy.typing as npt

from vsync_dagster.dict_api.client import DictClient
from vsync_dagster.dict_api.errors import CidFileContentError, CidFileError, CidFilePlaceError
from vsync_dagster.dict_api.messages import CidSetFile
from vsync_dagster.dict_api.network import time_limited
from vsync_dagster.dict_api.transport import has_known_encoding, unpacked
from vsync_dagster.progress import LONG_WAIT_S, counting, log_retry
from vsync_dagster.reconcile.cid import CID_BYTES
from vsync_dagster.reconcile.cid_set import Choice, CidArray, Words
from vsync_dagster.reconcile.errors import PermanentError

_log = logging.getLogger(__name__)

_LINE_BYTES = 2 * CID_BYTES + 1
_BLOCK_LINES = 4_096
_FIRST_POLL, _LONGEST_POLL = 2.0, 30.0
DEFAULT_PORTS = {"https": 443, "http": 80}
_MAX_DECODINGS = 3
SLOWEST_DOWNLOAD = 1_000_000.0
_CONNECT_SECONDS = 120.0
# In production, files were AVAILABLE minutes before their store had them, some never: wait, then ask for another.
_NOT_THERE, _NOT_THERE_PAUSE = "HTTP 404", 10.0
_GONE = 410
_ONES, _LOW_BITS, _EVERY_OTHER = np.array([0x0101010101010101, 0x0F0F0F0F0F0F0F0F, 0x00FF00FF00FF00FF], np.uint64)

Lines = npt.NDArray[np.uint8]  # (n, 65)


@dataclass(frozen=True, slots=True)
class DownloadRule:
    """Where CID files may come from: what is asked there is shown our certificate, and its answer is not signed.

    Attributes:
        hosts: the hosts, in lower case, each as `host:port`, or as `host` for any of its ports
            (`VSYNC_DICT_DOWNLOAD_HOSTS`).
        base: scheme, host and path prefix to put in place of those of a file's URL (`VSYNC_DICT_DOWNLOAD_BASE`).
        plain_http: whether http is permitted.
        keeps_host: whether `Host` stays the one of DICT's URL where the base is another: for a proxy that hands
            requests on as they are.
    """

    hosts: frozenset[str]
    base: str | None = None
    plain_http: bool = False
    keeps_host: bool = False

    def headers(self, url: str) -> dict[str, str]:
        """Return the headers of a download of the file that DICT says is at `url`; `place` has accepted it."""
        return {"Accept": "*/*", **({"Host": httpx.URL(url).host} if self.keeps_host else {})}

    def place(self, url: str) -> httpx.URL:
        """Return where to download the file that DICT says is at `url`; path and query are sent as DICT wrote them.

        Raises:
            CidFileError: it is no URL.
            CidFilePlaceError: it may not come from there.
        """
        try:
            there, base = httpx.URL(url), httpx.URL(self.base or "")
            target = _target(url)
        except (httpx.InvalidURL, ValueError):
            raise CidFileError("the URL of DICT's CID file is malformed; try again later") from None
        if there.userinfo:
            # Whoever writes the URL would choose a header of our request.
            raise CidFilePlaceError("the URL of DICT's CID file names a user; it is not downloaded")
        if _leaves_its_folder(target):
            # A server that resolves the dots would serve something outside the base, or another participant's file.
            raise CidFilePlaceError("the URL of DICT's CID file has '..' in its path; it is not downloaded")
        if self.base:
            there = base.copy_with(raw_path=base.raw_path.rstrip(b"/") + there.raw_path)
        if there.scheme != "https" and not (self.plain_http and there.scheme == "http"):
            raise CidFilePlaceError("DICT's CID file is not at an https URL; it is not downloaded")
        port = there.port or DEFAULT_PORTS[there.scheme]
        if not {there.host, f"{there.host}:{port}"} & self.hosts:
            raise CidFilePlaceError(
                f"DICT's CID file is at port {port} of {there.host!r}, which is not one of VSYNC_DICT_DOWNLOAD_HOSTS"
            )
        if not there.raw_path.endswith(target):
            # httpx would encode what is not a URL's character: another name than DICT's.
            raise CidFileError("the URL of DICT's CID file is malformed; try again later")
        return there


def _target(url: str) -> bytes:
    """Return the path and query of a URL as they are written."""
    parts = urlsplit(url)
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.path or '/'}{query}".encode()


def _leaves_its_folder(target: bytes) -> bool:
    path = target.partition(b"?")[0]
    # Encoded twice, too: something on the way may decode once, and the server again.
    for _ in range(_MAX_DECODINGS):
        path = unquote_to_bytes(path)
    return any(segment in (b".", b"..") for segment in re.split(rb"[/\\]", path))


def wait_for_file(
    client: DictClient,
    file_id: int,
    key_type: str,
    *,
    sleep: Callable[[float], None] = time.sleep,
    longest_wait: float = 1_800.0,
) -> CidSetFile:
    """Ask for the state of a file until it is AVAILABLE, less and less often; each question costs a token.

    An unknown status counts as one on the way. `longest_wait` is in seconds.

    Raises:
        CidFileError: DICT gave the file up (`ask_again`), or it is not there after `longest_wait`.
        VsyncError: what the client raises.
    """
    waited, pause = 0.0, _FIRST_POLL
    while True:
        file = client.get_cid_set_file(file_id, key_type).cid_set_file
        if file.status == "AVAILABLE":
            return file
        if file.status in ("ERROR", "UNAVAILABLE"):
            raise CidFileError(f"DICT's CID file is in status {file.status}; ask for another", ask_again=True)
        if waited >= longest_wait:
            raise CidFileError(f"DICT has not made the CID file within {waited:.0f} s; try again later")
        if waited + pause > LONG_WAIT_S:
            _log.info(
                "%s: waiting for DICT to make CID file %d: asking again in %.0f s (after %.0f of at most %.0f s)",
                key_type,
                file_id,
                pause,
                waited,
                longest_wait,
            )
        sleep(pause)
        waited, pause = waited + pause, min(pause * 1.5, _LONGEST_POLL)


def download(
    http: httpx.Client,
    file: CidSetFile,
    target: Path,
    *,
    rule: DownloadRule,
    max_bytes: int,
    min_rate: float = SLOWEST_DOWNLOAD,
    attempts: int = 3,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Download an AVAILABLE file to `target`, and keep it only if size and SHA-256 are the ones DICT named.

    Args:
        http: the client; it follows no redirects.
        file: what DICT says about the file.
        target: where to put it; written only when everything is right.
        rule: where it may come from.
        max_bytes: the largest file to accept, unpacked.
        min_rate: the fewest bytes a second, on average, at which an attempt goes on (`VSYNC_DOWNLOAD_MIN_RATE`); two
            minutes come on top.
        attempts: how often a download that breaks off, arrives altered or is not there yet is tried.
        sleep: waits between the attempts, in seconds.
        clock: seconds, for an attempt's time.

    Raises:
        CidFileError: no attempt succeeded; with `ask_again` if the server no longer has the file.
        CidFileContentError: the file is larger than `max_bytes`.
        CidFilePlaceError: the rule does not permit where it is.
        PermanentError: the disk does not take it, or has too little space for it.
    """
    if file.url is None or file.bytes is None or file.sha256 is None:
        raise CidFileError("DICT's CID file is AVAILABLE and lacks its Url, Bytes or Sha256; try again later")
    if file.bytes > max_bytes:
        raise CidFileContentError(f"the CID file has {file.bytes} bytes, more than the {max_bytes} permitted")
    url = rule.place(file.url)
    part = target.with_name(target.name + ".part")
    limit = _CONNECT_SECONDS + file.bytes / min_rate
    fetching = _Download(http, url, rule.headers(file.url), part, file.bytes, file.sha256.lower(), limit, clock)
    failure: str | None = None
    try:
        _check_space(target.parent, file.bytes)
        for attempt in range(attempts):
            if attempt:
                pause = (_NOT_THERE_PAUSE if failure == _NOT_THERE else 1.0) * 2.0**attempt
                log_retry(_log, attempt, attempts, pause, f"the CID file was not downloaded: {failure}")
                sleep(pause)
            if (failure := fetching.once()) is None:
                part.replace(target)
                return
        if failure == _NOT_THERE:
            raise CidFileError(f"the CID file is gone ({_NOT_THERE}); ask for another", ask_again=True)
        raise CidFileError(f"the CID file could not be downloaded in {attempts} attempts: {failure}; try again later")
    except OSError as error:
        raise PermanentError(f"the CID file cannot be stored: {error.strerror}", code="storage") from None
    finally:
        part.unlink(missing_ok=True)


def _check_space(folder: Path, size: int) -> None:
    """Refuse a download that does not fit, before it takes hours and fills the disk."""
    free = shutil.disk_usage(folder).free
    if free < size:
        raise PermanentError(
            f"the CID file cannot be stored: it has {size} bytes, and {free} are free in VSYNC_DOWNLOAD_FOLDER",
            code="storage",
        )


@dataclass(frozen=True, slots=True)
class CidFile:
    """The CIDs of a downloaded file, in blocks of shape (n, 32), dtype uint8; memory holds one of them.

    Whether a CID stands there twice is not seen here: whoever compares the sets counts.
    """

    path: Path

    def blocks(self) -> Iterator[CidArray]:
        """Yield all CIDs.

        Raises:
            CidFileContentError: a line is not exactly 64 hexadecimal digits.
        """
        return map(_decoded, self._lines())

    def chosen(self, choice: Choice) -> Iterator[CidArray]:
        """Yield the CIDs of each block that are chosen; of all others the first 16 digits are read, whatever they are.

        Raises:
            CidFileContentError: a line has not 64 characters, or one that is chosen is not hexadecimal.
        """
        for lines in self._lines():
            yield _decoded(lines[choice(_first_words(lines))])

    def _lines(self) -> Iterator[Lines]:
        with self.path.open("rb", buffering=0) as file:
            while block := file.read(_BLOCK_LINES * _LINE_BYTES):
                if len(block) % _LINE_BYTES == _LINE_BYTES - 1:
                    block += b"\n"
                yield _lines_of(block)


def _lines_of(block: bytes) -> Lines:
    count, rest = divmod(len(block), _LINE_BYTES)
    if rest or block[_LINE_BYTES - 1 :: _LINE_BYTES] != b"\n" * count:
        raise CidFileContentError("the CID file has a line that is not 64 characters; nothing of it is used")
    return np.frombuffer(block, np.uint8).reshape(count, _LINE_BYTES)


def _decoded(lines: Lines) -> CidArray:
    try:
        cids = bytes.fromhex(str(lines.data, "ascii"))
    except ValueError:
        cids = b""
    # `fromhex` skips white space: the ends of the lines, and any that stands in place of a digit.
    if len(cids) != len(lines) * CID_BYTES:
        raise CidFileContentError("the CID file has a line that is not hexadecimal; nothing of it is used")
    return np.frombuffer(cids, dtype=np.uint8).reshape(-1, CID_BYTES)


def _first_words(lines: Lines) -> Words:
    """Return the first eight bytes of each CID, decoded eight digits at a time: the low byte of a word comes first."""
    digits = np.ascontiguousarray(lines[:, :16]).view("<u8")
    # Of a digit's character the low four bits are its value, and of a letter's 9 less; only letters have bit 6.
    values = (digits & _LOW_BITS) + ((digits >> np.uint64(6)) & _ONES) * np.uint64(9)
    pairs = (values << np.uint64(4) | values >> np.uint64(8)) & _EVERY_OTHER
    words: Words = pairs.view("<u2").astype(np.uint8).view(np.uint64)
    return words[:, 0]


@dataclass(frozen=True, slots=True)
class _Download:
    http: httpx.Client
    url: httpx.URL
    headers: dict[str, str]
    part: Path
    size: int
    sha256: str
    time_limit: float
    clock: Callable[[], float]

    def once(self) -> str | None:
        """Download once; returns what was wrong, None if nothing was."""
        try:
            with (
                time_limited(self.time_limit, self.clock),
                self.http.stream("GET", self.url, headers=self.headers) as response,
            ):
                return self._refused(response) or self._store(response)
        except (httpx.ReadTimeout, httpx.WriteTimeout):
            return f"it takes too long, by the {self.time_limit:.0f} s for its size"
        except httpx.RequestError as error:
            return type(error).__name__

    def _refused(self, response: httpx.Response) -> str | None:
        if response.status_code == _GONE:
            raise CidFileError(f"the CID file is gone (HTTP {_GONE}); ask for another", ask_again=True)
        if response.status_code != 200:
            return f"HTTP {response.status_code}"
        return None if has_known_encoding(response) else "its encoding is unknown"

    def _store(self, response: httpx.Response) -> str | None:
        digest, received = hashlib.sha256(), 0
        with self.part.open("wb") as out, counting(_log, "bytes of the CID file", self.size) as count:
            for piece in unpacked(response):
                received += len(piece)
                if received > self.size:
                    return "it is longer than DICT says"
                digest.update(piece)
                out.write(piece)
                count.advance(len(piece))
        if received != self.size:
            return "it is shorter than DICT says"
        return None if digest.hexdigest() == self.sha256 else "its SHA-256 is not the one that DICT named"
