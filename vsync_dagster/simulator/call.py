"""One call of an operation: who asks, whether they may, what it costs, and what is to go wrong with it."""

from dataclasses import dataclass, field
from typing import TypeVar

from lxml import etree
from starlette.requests import Request

from vsync_dagster.dict_api.xml import from_xml, parse_document
from vsync_dagster.reconcile.errors import VsyncError
from vsync_dagster.reconcile.ispb import is_ispb
from vsync_dagster.simulator.faults import Fault, FaultKind
from vsync_dagster.simulator.operations import POLICIES, Operation
from vsync_dagster.simulator.settings import Settings, Signatures
from vsync_dagster.simulator.state import DictState

REQUESTER_HEADER = "PI-RequestingParticipant"
_KINDS = {
    400: ("BadRequest", "Bad Request"),
    403: ("Forbidden", "Forbidden"),
    404: ("NotFound", "Not found"),
    409: ("ResourceConflict", "Conflict"),
    410: ("Gone", "Gone"),
    429: ("RateLimited", "Rate limited"),
    500: ("InternalServerError", "Internal Server Error"),
    503: ("ServiceUnavailable", "Service Unavailable"),
}
REFUSALS = (FaultKind.STATUS, FaultKind.GATEWAY, FaultKind.OTHER_STATUS)
"""Faults that take the operation's place."""
_Message = TypeVar("_Message")


class Refusal(Exception):  # noqa: N818 - an answer, not an error of the simulator
    """An answer with a problem document; `kind` is DICT's problem type."""

    def __init__(self, status: int, kind: str | None = None, retry_after: int | None = None) -> None:
        default_kind, self.title = _KINDS.get(status) or _KINDS[500 if status > 500 else 400]
        super().__init__(status)
        self.status = status
        self.kind = kind or default_kind
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Service:
    """What all calls share. CID files are served on `files_port` alone, and all else on any other."""

    state: DictState
    settings: Settings
    signatures: Signatures
    files_port: int


@dataclass(slots=True)
class Call:
    """A call being answered.

    Attributes:
        certified: the ISPB of the certificate that the connection came with; None over plain http.
        charged: the participant that pays for the call.
        fault: what it is to do wrong.
    """

    service: Service
    operation: Operation
    request: Request
    body: bytes
    certified: str | None = None
    charged: str | None = field(default=None, init=False)
    requester: str = field(default="", init=False)
    fault: Fault | None = field(default=None, init=False)

    def document(self, message_type: type[_Message]) -> _Message:
        """Return the request's message.

        Raises:
            Refusal: the body is not XML, is compressed, or its signature is not accepted.
            MalformedMessageError: it is another message than expected.
        """
        headers = self.request.headers
        if headers.get("content-encoding", "identity") != "identity":
            raise Refusal(400)  # compressed requests are not supported
        if headers.get("content-type", "").split(";")[0].strip() not in ("application/xml", "text/xml"):
            raise Refusal(400)
        root = parse_document(self.body)
        if etree.QName(root).localname != message_type.__name__:
            raise Refusal(400)
        try:
            self.service.signatures.verify(root, self.certified)
        except VsyncError:
            raise Refusal(400, "RequestSignatureInvalid") from None
        return from_xml(message_type, root)

    def admit(self, participant: str | None = None, key_type: str | None = None) -> None:
        """Let the call in: who asks is known, is who they say and may, the bucket has a token, no error was scripted.

        `participant` is whom the message is about. Without one, the requesting participant's header is required;
        with one, the header is checked where it is sent. `key_type` is what it is about, if that is not in the query.
        The one who asks pays, whoever's certificate carries the call.

        Raises:
            Refusal: one of these does not hold.
        """
        participants = self.service.state.participants
        header = self._header()
        requester = (participant or self.certified) if header is None else header
        subject = requester if participant is None else participant
        if requester is None or subject is None or not is_ispb(subject):
            raise Refusal(400)
        if not participants.known(requester) or not participants.known(subject):
            raise Refusal(403)
        if self.certified is not None and not participants.may_act_for(self.certified, requester):
            raise Refusal(403)
        self.requester = requester
        self._charge(requester)
        self.check_may_act_for(subject)
        about = self.request.path_params.get("cid") or self.request.query_params.get("KeyType") or key_type
        self.fault = self.service.state.faults.take(self.operation, about)
        if self.fault is not None and self.fault.kind in REFUSALS:
            raise Refusal(self.fault.status or 500, retry_after=self.fault.retry_after)

    def charge_unadmitted(self) -> None:
        """Charge a call that is refused before it says whom it is about, if its certificate or header tells who asks.

        Raises:
            Refusal: the bucket is empty.
        """
        requester = self.certified or self.request.headers.get(REQUESTER_HEADER, "")
        if self.charged is None and self.service.state.participants.known(requester):
            self._charge(requester)

    def check_may_act_for(self, participant: str) -> None:
        """Raise a 403 unless who asks is this participant, or the direct participant that acts for it."""
        if not self.service.state.participants.may_act_for(self.requester, participant):
            raise Refusal(403)

    def scope(self, ispb: str) -> str:
        """Return the participant whose buckets count a participant's calls."""
        if self.service.settings.indirects_share_buckets:
            return self.service.state.participants.direct(ispb)
        return ispb

    def settle(self, status: int) -> None:
        """Count the answer; a 500 is not charged."""
        state = self.service.state
        if status == 500 and self.charged is not None:
            policy = POLICIES[self.operation]
            state.buckets.give_back(self.charged, policy, self.service.settings.all_limits()[policy])
        state.calls.count(self.operation, self.requester, status)

    def _header(self) -> str | None:
        header = self.request.headers.get(REQUESTER_HEADER)
        if header is not None and not is_ispb(header):
            raise Refusal(400)
        return header

    def _charge(self, requester: str) -> None:
        policy, scope = POLICIES[self.operation], self.scope(requester)
        if not self.service.state.buckets.take(scope, policy, self.service.settings.all_limits()[policy]):
            raise Refusal(429)
        self.charged = scope
