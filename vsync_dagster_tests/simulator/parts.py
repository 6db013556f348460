"""What the simulator's tests are made of: a clock to turn, entries, and a thin HTTP client."""

import threading
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID

import httpx

from vsync_dagster.dict_api.messages import CidSetEvent, ListCidSetEventsResponse, Problem
from vsync_dagster.dict_api.xml import from_xml, parse_document, serialize, to_xml
from vsync_dagster.reconcile.entry import Entry
from vsync_dagster.simulator.population import generate
from vsync_dagster.simulator.state import DictState

DIRECT, INDIRECT, OTHER = "12345678", "87654321", "00000000"
HEADER = "PI-RequestingParticipant"
NOON = datetime(2026, 3, 2, 15, tzinfo=UTC)
_Message = TypeVar("_Message")


class Clock:
    """A clock that stands still until it is turned; several threads may read it."""

    def __init__(self, time: datetime = NOON) -> None:
        self._time = time
        self._lock = threading.Lock()

    def now(self) -> datetime:
        with self._lock:
            return self._time

    def turn(self, seconds: float) -> None:
        with self._lock:
            self._time += timedelta(seconds=seconds)


def entries(count: int, *key_types: str, ispb: str = DIRECT, seed: int = 1) -> list[Entry]:
    return list(generate(ispb, count, seed, key_types or ("CPF",)))


def an_entry(**changes: object) -> Entry:
    """The entry of the official CID vector, or one that differs from it."""
    entry = Entry(
        key_type="PHONE",
        key="+5511987654321",
        participant=DIRECT,
        branch="00001",
        account_number="0007654321",
        account_type="CACC",
        account_opened_at=datetime(2010, 1, 10, 3, tzinfo=UTC),
        owner_type="NATURAL_PERSON",
        owner_tax_id="11122233300",
        owner_name="João Silva",
        owner_trade_name=None,
        created_at=datetime(2019, 11, 18, 3, tzinfo=UTC),
        key_owned_since=datetime(2019, 11, 18, 3, tzinfo=UTC),
        request_id=UUID(bytes=bytes(range(1, 17))),
    )
    return replace(entry, **changes)  # type: ignore[arg-type]


def log(state: DictState, key_type: str = "CPF", participant: str = DIRECT) -> list[tuple[str, bytes, int, bytes]]:
    """The whole log of a set: type, CID, time stamp, VSync after the event."""
    found = state.file.connection.execute(
        "SELECT type, cid, at, e.vsync FROM cid_events e JOIN cid_sets s ON s.id = e.set_id"
        " WHERE s.participant = ? AND s.key_type = ? ORDER BY seq",
        (participant, key_type),
    )
    return list(found)


# DICT's gateway refuses a Host with a port, which is what HTTP clients send.
BARE_HOST = {"Host": "127.0.0.1"}


def fetch(url: str, **headers: str) -> httpx.Response:
    """Send a GET request that DICT's gateway lets through."""
    return httpx.get(url, headers=BARE_HOST | headers)


class Api:
    """Calls of the simulator over HTTP, as one participant."""

    def __init__(self, http: httpx.Client, requester: str | None = DIRECT) -> None:
        self.http = http
        self.headers = {} if requester is None else {HEADER: requester}

    def get(self, path: str, **params: object) -> httpx.Response:
        return self.http.get(path, params={k: str(v) for k, v in params.items()}, headers=self.headers)

    def post(self, path: str, message: object) -> httpx.Response:
        headers = self.headers | {"Content-Type": "application/xml"}
        return self.http.post(path, content=serialize(to_xml(message)), headers=headers)

    def events(self, key_type: str = "CPF", participant: str = DIRECT, **params: object) -> ListCidSetEventsResponse:
        answer = self.get("cids/events", Participant=participant, KeyType=key_type, **params)
        return read(ListCidSetEventsResponse, answer)


def read(message_type: type[_Message], answer: httpx.Response, status: int = 200) -> _Message:
    """The message of an answer, which has this status."""
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/xml"
    root = parse_document(answer.content)
    assert root.tag == message_type.__name__
    return from_xml(message_type, root)


def problem(answer: httpx.Response) -> tuple[int, str]:
    """Status and kind of a problem."""
    assert answer.headers["Content-Type"] == "application/problem+xml"
    found = Problem.from_xml(parse_document(answer.content))
    assert found.status == answer.status_code
    assert found.correlation_id is not None
    assert len(found.correlation_id) == 32
    return found.status, found.kind


def cids(events: Iterable[CidSetEvent]) -> list[tuple[str, bytes]]:
    return [(event.type, event.cid) for event in events]
