"""What strangers send us, as functions of any bytes: each ends, or raises the one error that says so.

`test_fuzz.py` runs them under hypothesis, `fuzz.py` under atheris.
"""

import tempfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import cast

from lxml import etree

from vsync_dagster.dict_api import messages
from vsync_dagster.dict_api.cid_file import CidFile
from vsync_dagster.dict_api.client import DictClient
from vsync_dagster.dict_api.errors import CidFileContentError, EventLogError, SignatureRefusedError
from vsync_dagster.dict_api.event_log import read_events
from vsync_dagster.dict_api.messages import CidSetEvent, ListCidSetEventsResponse, Problem
from vsync_dagster.dict_api.signatures import Verifier
from vsync_dagster.dict_api.xml import MalformedMessageError, from_xml, parse_document, serialize, to_xml
from vsync_dagster.reconcile.vsync import EMPTY_VSYNC, xor
from vsync_dagster_tests.dict_api.parts import AT, CORRELATION_ID, ISPB, VSYNC, entry, entry_answer, events_page
from vsync_dagster_tests.signing import identity

ANSWERS: tuple[type, ...] = (
    messages.CreateSyncVerificationResponse,
    messages.CreateCidSetFileResponse,
    messages.GetCidSetFileResponse,
    messages.ListCidSetEventsResponse,
    messages.GetEntryByCidResponse,
    messages.ListPoliciesResponse,
)
MAX_PAGES = 5
PAGE_BYTES = 9


def parser(data: bytes) -> None:
    """A message that is read says the same when it is written and read again."""
    try:
        document = parse_document(data)
    except MalformedMessageError:
        return
    for kind in ANSWERS:
        try:
            written = to_xml(from_xml(kind, document))
        except MalformedMessageError:
            continue
        # Not the messages: what is below a millisecond is not written.
        assert serialize(to_xml(from_xml(kind, written))) == serialize(written)
    try:
        Problem.from_xml(document)
    except MalformedMessageError:
        return


def signature(data: bytes) -> None:
    """What the signature check lets through is exactly what was signed."""
    try:
        document = parse_document(data)
        _verifier()(document)
    except (MalformedMessageError, SignatureRefusedError):
        return
    assert canonical(document) == canonical(parse_document(signed_answer()))


def event_pages(data: bytes) -> None:
    """A log that is believed is a chain: its VSync at the end is the one before, and every event."""
    client = _Pages(data)
    try:
        log = read_events(cast("DictClient", client), "CPF", AT, page_limit=3, max_pages=MAX_PAGES)
    except EventLogError:
        return
    finally:
        assert client.asked <= MAX_PAGES
    if log.verifier_before is not None:
        end = log.verifier_before
        for event in log.events:
            end = xor(end, event.cid)
        assert end == log.verifier_end


def cid_file(data: bytes) -> None:
    """A file that is read is nothing but its CIDs."""
    path = _folder() / "cids"
    path.write_bytes(data)
    try:
        cids = [cid for block in CidFile(path).blocks() for cid in block]
    except CidFileContentError:
        return
    lines = [bytes(cid).hex() for cid in cids]
    assert lines == data.decode("ascii").lower().split()
    assert len(data) in (65 * len(lines), 65 * len(lines) - 1)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "parser": parser,
    "signature": signature,
    "event_pages": event_pages,
    "cid_file": cid_file,
}


@cache
def seeds(name: str) -> tuple[bytes, ...]:
    """Return bytes from which to start."""
    return {
        "parser": (events_page().body, entry_answer(entry(1)).body, signed_answer()),
        "signature": (signed_answer(), answer_signed_twice()),
        "event_pages": (bytes(range(PAGE_BYTES)) * 2, b"\x01" + b"\x11\x22\x33" * 3),
        "cid_file": (VSYNC.hex().encode() + b"\n" + b"ab" * 32 + b"\n", b""),
    }[name]


@cache
def signed_answer() -> bytes:
    """Return an answer as DICT signs it."""
    return serialize(identity("dict").sign(parse_document(events_page().body)))


def answer_signed_twice() -> bytes:
    """Return an answer signed by two, the second of whom is trusted."""
    document = identity("stranger").sign(parse_document(events_page().body))
    return serialize(identity("dict").sign(document))


def canonical(document: etree._Element) -> bytes:
    """Return what an enveloped signature covers of a document."""
    for child in document.findall("{http://www.w3.org/2000/09/xmldsig#}Signature"):
        document.remove(child)
    return bytes(etree.tostring(document, method="c14n", exclusive=True, with_comments=False))


@cache
def _verifier() -> Verifier:
    return identity("dict").verify


@cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="vsync-fuzz-"))


class _Pages:
    """Pages of an event log, as bytes tell: nine each, a byte of what is wrong with it and four events of two bytes."""

    def __init__(self, data: bytes) -> None:
        self.asked = 0
        self._data = data
        self._vsync = EMPTY_VSYNC

    def list_cid_set_events(self, key_type: str, start: object, limit: int) -> ListCidSetEventsResponse:
        """Return the next page, whatever is asked for."""
        del start, limit
        raw = self._data[self.asked * PAGE_BYTES : (self.asked + 1) * PAGE_BYTES]
        self.asked += 1
        flags = raw[0] if raw else 0
        events = tuple(_events(raw[1:]))
        first = last = self._vsync
        for number, event in enumerate(events):
            last = xor(last, event.cid)
            first = last if number == 0 else first
        if not flags & 2:
            self._vsync = last
        wrong = bytes([flags & 4]) + bytes(31)
        return ListCidSetEventsResponse(
            response_time=AT,
            correlation_id=CORRELATION_ID,
            has_more_elements=bool(flags & 1),
            participant=ISPB,
            key_type=key_type,
            sync_verifier_start=None if flags & 8 else first,
            sync_verifier_end=xor(last, wrong),
            cid_set_events=events,
        )


def _events(raw: bytes) -> Iterator[CidSetEvent]:
    for at, what in zip(raw[::2], raw[1::2], strict=False):
        kind = ("ADDED", "REMOVED", "ADDED", "MOVED")[what & 3]
        yield CidSetEvent(kind, bytes([what >> 2]) * 32, AT + timedelta(milliseconds=at & 15))
