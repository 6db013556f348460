"""The messages of DICT's reconciliation and policy operations (DICT API 2.12.1), as dataclasses.

Field names are DICT's element names in snake case; `vsync_dagster.dict_api.xml` reads and writes them. CIDs
and VSyncs are 32 bytes, times are in UTC, everything else that DICT calls a string stays one: unknown key types,
statuses and categories must not stop a reader (they are declared compatible changes).
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from lxml import etree

from vsync_dagster.dict_api.xml import MalformedMessageError, to_text
from vsync_dagster.reconcile.entry import Entry as DictEntry

PROBLEM_NAMESPACE = "urn:ietf:rfc:7807"
PROBLEM_TYPE_BASE = "https://dict.pi.rsfn.net.br/api/v2/error/"


@dataclass(frozen=True, slots=True)
class SyncVerification:
    """One key type's VSync, and in an answer the verification's id and result (`OK` or `NOK`)."""

    participant: str
    key_type: str
    participant_sync_verifier: bytes
    id: int | None = None
    result: str | None = None


@dataclass(frozen=True, slots=True)
class CreateSyncVerificationRequest:
    sync_verification: SyncVerification


@dataclass(frozen=True, slots=True)
class CreateSyncVerificationResponse:
    """API 2.12.1 requires the verification only; time and CorrelationId are optional by its schema."""

    response_time: datetime | None
    correlation_id: str | None
    sync_verification: SyncVerification


@dataclass(frozen=True, slots=True)
class CidSetFile:
    """A CID set file: `status` is REQUESTED, PROCESSING, AVAILABLE, UNAVAILABLE or ERROR.

    `creation_time`, `url`, `bytes` (a size) and `sha256` are there when it is AVAILABLE.
    """

    id: int
    status: str
    participant: str
    key_type: str
    request_time: datetime
    creation_time: datetime | None = None
    url: str | None = None
    bytes: int | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class CreateCidSetFileRequest:
    participant: str
    key_type: str


@dataclass(frozen=True, slots=True)
class CreateCidSetFileResponse:
    response_time: datetime
    correlation_id: str
    cid_set_file: CidSetFile


@dataclass(frozen=True, slots=True)
class GetCidSetFileResponse:
    response_time: datetime
    correlation_id: str
    cid_set_file: CidSetFile


@dataclass(frozen=True, slots=True)
class CidSetEvent:
    """`type` is ADDED or REMOVED; `timestamp` has millisecond precision."""

    type: str
    cid: bytes
    timestamp: datetime


@dataclass(frozen=True, slots=True)
class ListCidSetEventsResponse:
    """A page of the event log, ascending by time.

    `sync_verifier_start` and `sync_verifier_end` are DICT's VSync *after* the page's first and last event. What the
    four fields that speak of events hold in a page without any, DICT does not say; they may be missing there.
    """

    response_time: datetime
    correlation_id: str
    has_more_elements: bool
    participant: str
    key_type: str
    start_time: datetime | None = None
    end_time: datetime | None = None
    sync_verifier_start: bytes | None = None
    sync_verifier_end: bytes | None = None
    cid_set_events: tuple[CidSetEvent, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class Account:
    participant: str
    account_number: str
    account_type: str
    opening_date: datetime
    branch: str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Owner:
    type: str
    tax_id_number: str
    name: str
    trade_name: str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class ExtendedEntry:
    key: str
    key_type: str
    account: Account
    owner: Owner
    creation_date: datetime
    key_ownership_date: datetime
    open_claim_creation_date: datetime | None = None


@dataclass(frozen=True, slots=True, repr=False)
class GetEntryByCidResponse:
    """The entry behind a CID, with the request id that created it. Personal data: has no repr."""

    response_time: datetime
    correlation_id: str
    cid: bytes
    entry: ExtendedEntry
    request_id: UUID

    def to_entry(self) -> DictEntry:
        """Return the entry in the core's own form."""
        account, owner = self.entry.account, self.entry.owner
        return DictEntry(
            key_type=self.entry.key_type,
            key=self.entry.key,
            participant=account.participant,
            branch=account.branch,
            account_number=account.account_number,
            account_type=account.account_type,
            account_opened_at=account.opening_date,
            owner_type=owner.type,
            owner_tax_id=owner.tax_id_number,
            owner_name=owner.name,
            owner_trade_name=owner.trade_name,
            created_at=self.entry.creation_date,
            key_owned_since=self.entry.key_ownership_date,
            request_id=self.request_id,
        )


@dataclass(frozen=True, slots=True)
class Policy:
    """One token bucket's state: it holds `capacity` and gains `refill_tokens` every `refill_period_sec`."""

    available_tokens: int
    capacity: int
    refill_tokens: int
    refill_period_sec: int
    name: str


@dataclass(frozen=True, slots=True)
class ListPoliciesResponse:
    response_time: datetime
    correlation_id: str
    policies: tuple[Policy, ...]
    category: str | None = None


@dataclass(frozen=True, slots=True)
class GetPolicyResponse:
    response_time: datetime
    correlation_id: str
    policy: Policy
    category: str | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """An error answer (RFC 7807). `kind` is the last segment of its `type`, such as `RateLimited`.

    `status` is None where the document has none: the gateway of the file host leaves it out. `detail` and the
    violations are not kept: they can quote a key.
    """

    kind: str
    status: int | None
    title: str
    correlation_id: str | None = None

    def to_xml(self) -> etree._Element:
        """Return the `problem` element."""
        root = etree.Element(f"{{{PROBLEM_NAMESPACE}}}problem", nsmap={None: PROBLEM_NAMESPACE})
        children = {
            "type": PROBLEM_TYPE_BASE + self.kind,
            "title": self.title,
            "status": self.status,
            "correlationId": self.correlation_id,
        }
        for name, value in children.items():
            if value is not None:
                etree.SubElement(root, f"{{{PROBLEM_NAMESPACE}}}{name}").text = to_text(value)
        return root

    @classmethod
    def from_xml(cls, root: etree._Element) -> "Problem":
        """Read a `problem` element.

        Raises:
            MalformedMessageError: it is something else, lacks its type, or has a status that is no number.
        """
        if etree.QName(root).localname != "problem":
            raise MalformedMessageError("an error answer is not a problem document")
        children = [child for child in root if isinstance(child.tag, str)]
        text = {etree.QName(child).localname: child.text or "" for child in children}
        try:
            kind, status = text["type"].rsplit("/", 1)[-1], int(text["status"]) if text.get("status") else None
        except (KeyError, ValueError):
            raise MalformedMessageError("a problem document lacks its type, or its status is no number") from None
        return cls(kind, status, text.get("title", ""), text.get("correlationId"))
