"""Parts that the tests of this room share: DICT's answers, a clock without waiting, a budget that keeps books."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx

from vsync_dagster.dict_api.budget import DOCUMENTED
from vsync_dagster.dict_api.calls import DictCall
from vsync_dagster.dict_api.client import DictClient
from vsync_dagster.dict_api.messages import (
    Account,
    CidSetFile,
    CreateCidSetFileResponse,
    CreateSyncVerificationResponse,
    ExtendedEntry,
    GetCidSetFileResponse,
    GetEntryByCidResponse,
    GetPolicyResponse,
    ListCidSetEventsResponse,
    Owner,
    Policy,
    Problem,
    SyncVerification,
)
from vsync_dagster.dict_api.xml import serialize, to_xml
from vsync_dagster.reconcile.entry import Entry
from vsync_dagster.reconcile.plan import Bucket
from vsync_dagster_tests.dict_api.server import Reply

ISPB = "12345678"
VSYNC = bytes(range(32))
AT = datetime(2026, 1, 10, 10, 0, 0, tzinfo=UTC)
CORRELATION_ID = "a9f13566e19f5ca51329479a5bae60c5"
RESET = Reply(reset=True)
BROKEN = Reply(200, b"<Half")


class FakeTime:
    """A clock that only moves when somebody sleeps."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.sleeps: list[float] = []

    def clock(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return AT + timedelta(seconds=self.seconds - 1000.0)

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.seconds += seconds


@dataclass
class Books:
    """A budget without a limit that keeps books."""

    taken: list[str] = field(default_factory=list)
    refunded: list[str] = field(default_factory=list)
    emptied: list[str] = field(default_factory=list)
    learnt: list[Policy] = field(default_factory=list)

    def take(self, policy: str, tokens: int = 1) -> None:
        self.taken += [policy] * tokens

    def refund(self, policy: str, tokens: int = 1) -> None:
        self.refunded += [policy] * tokens

    def drained(self, policy: str) -> None:
        self.emptied.append(policy)

    def learn(self, policies: Sequence[Policy]) -> None:
        self.learnt += policies

    def bucket(self, policy: str) -> Bucket:
        return Bucket(DOCUMENTED[policy].capacity, 0.0, DOCUMENTED[policy].tokens_per_second)


@dataclass
class Line:
    """A client with everything around it that a test looks at; signatures have tests of their own."""

    http: httpx.Client
    time: FakeTime = field(default_factory=FakeTime)
    books: Books = field(default_factory=Books)
    calls: list[DictCall] = field(default_factory=list)

    def client(self, **changes: object) -> DictClient:
        """Return a client whose waiting takes no time and whose jitter is 0."""
        parts: dict[str, Any] = {
            "http": self.http,
            "participant": ISPB,
            "budget": self.books,
            "record": self.calls.append,
            "sign": lambda document: document,
            "verify": lambda _: None,
            "sleep": self.time.sleep,
            "random": lambda: 0.0,
            "now": self.time.now,
        }
        parts.update(changes)
        return DictClient(**parts)


def xml(message: object, status: int = 200) -> Reply:
    """Answer with a message."""
    return Reply(status, serialize(to_xml(message)), {"Content-Type": "application/xml"})


def problem(status: int, kind: str, headers: dict[str, str] | None = None) -> Reply:
    """Answer with a problem document."""
    document = Problem(kind, status, "a title", CORRELATION_ID).to_xml()
    return Reply(status, serialize(document), {"Content-Type": "application/problem+xml"} | (headers or {}))


def verification(vsync: bytes, result: str | None = "OK", **changes: object) -> Reply:
    """Answer createSyncVerification."""
    told: dict[str, Any] = {"participant": ISPB, "key_type": "CPF", "participant_sync_verifier": vsync, "id": 1234}
    told.update({"result": result} | changes)
    sync_verification = SyncVerification(**told)
    return xml(CreateSyncVerificationResponse(AT, CORRELATION_ID, sync_verification), 201)


def cid_set_file(status: str = "AVAILABLE", **changes: object) -> CidSetFile:
    """Return a CID file of PHONE keys with Id 77."""
    told: dict[str, Any] = {"id": 77, "status": status, "participant": ISPB, "key_type": "PHONE", "request_time": AT}
    told.update(changes)
    return CidSetFile(**told)


def created_file(**changes: object) -> Reply:
    """Answer createCidSetFile."""
    return xml(CreateCidSetFileResponse(AT, CORRELATION_ID, cid_set_file("REQUESTED", **changes)), 201)


def file_state(status: str = "AVAILABLE", **changes: object) -> Reply:
    """Answer getCidSetFile."""
    return xml(GetCidSetFileResponse(AT, CORRELATION_ID, cid_set_file(status, **changes)))


def entry(number: int, participant: str = ISPB) -> Entry:
    """Return one of many entries."""
    return Entry(
        key_type="PHONE",
        key=f"+55119{number:08}",
        participant=participant,
        branch="0001",
        account_number=f"{number:010}",
        account_type="CACC",
        account_opened_at=AT,
        owner_type="NATURAL_PERSON",
        owner_tax_id="11122233300",
        owner_name="João & Maria",
        owner_trade_name=None,
        created_at=AT,
        key_owned_since=AT,
        request_id=UUID(int=number),
    )


def entry_answer(held: Entry, cid: bytes | None = None) -> Reply:
    """Answer getEntryByCid with an entry, by its own CID unless another is given."""
    account = Account(held.participant, held.account_number, held.account_type, held.account_opened_at, held.branch)
    owner = Owner(held.owner_type, held.owner_tax_id, held.owner_name, held.owner_trade_name)
    extended = ExtendedEntry(held.key, held.key_type, account, owner, held.created_at, held.key_owned_since)
    return xml(GetEntryByCidResponse(AT, CORRELATION_ID, cid or held.cid(), extended, held.request_id))


def events_page(**changes: object) -> Reply:
    """Answer listCidSetEvents with a page of CPF events, none unless given."""
    page = ListCidSetEventsResponse(AT, CORRELATION_ID, False, ISPB, "CPF", AT, AT, VSYNC, VSYNC)
    return xml(dataclasses.replace(page, **changes))  # type: ignore[arg-type]


def policy_answer(name: str) -> Reply:
    """Answer getPolicy."""
    return xml(GetPolicyResponse(AT, CORRELATION_ID, Policy(1, 2, 3, 4, name), "A"))


def verify(client: DictClient) -> CreateSyncVerificationResponse:
    """Make the simplest call."""
    return client.create_sync_verification("CPF", VSYNC)
