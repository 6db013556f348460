"""What each operation answers. A handler gets a call and returns an Answer, or raises a Refusal."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import uuid4

from lxml import etree

from vsync_dagster.dict_api.messages import (
    Account,
    CidSetEvent,
    CidSetFile,
    CreateCidSetFileRequest,
    CreateCidSetFileResponse,
    CreateSyncVerificationRequest,
    CreateSyncVerificationResponse,
    ExtendedEntry,
    GetCidSetFileResponse,
    GetEntryByCidResponse,
    GetPolicyResponse,
    ListCidSetEventsResponse,
    ListPoliciesResponse,
    Owner,
    Policy,
)
from vsync_dagster.dict_api.xml import to_xml
from vsync_dagster.reconcile.cid import parse_cid
from vsync_dagster.reconcile.keys import KeyType
from vsync_dagster.simulator.call import Call, Refusal
from vsync_dagster.simulator.cid_files import FileOutcome, FileState
from vsync_dagster.simulator.event_log import EventPage, LoggedEvent, read_page
from vsync_dagster.simulator.faults import Fault, FaultKind
from vsync_dagster.simulator.operations import Operation
from vsync_dagster.simulator.rows import HeldEntry
from vsync_dagster.simulator.times import duration_ms, from_ms, to_ms, to_ms_up

FILES_PATH = "/api/v1/download/"
_DEFAULT_LIMIT, _MAX_LIMIT = 100, 200
_DIGITS = re.compile(r"[0-9]{1,18}")
_FILE_OUTCOMES = {
    FaultKind.FILE_ERROR: FileOutcome.ERROR,
    FaultKind.FILE_UNAVAILABLE: FileOutcome.UNAVAILABLE,
    FaultKind.FILE_NEVER_READY: FileOutcome.NEVER_READY,
    FaultKind.FILE_MALFORMED: FileOutcome.MALFORMED,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer's HTTP status and its document."""

    status: int
    document: etree._Element


def create_sync_verification(call: Call) -> Answer:
    """POST /sync-verifications/."""
    asked = call.document(CreateSyncVerificationRequest).sync_verification
    call.admit(asked.participant, asked.key_type)
    _check_key_type(asked.key_type)
    state = call.service.state
    number, in_sync = state.verify(asked.participant, asked.key_type, asked.participant_sync_verifier)
    verification = replace(asked, id=number, result="OK" if in_sync else "NOK")
    return Answer(201, to_xml(CreateSyncVerificationResponse(state.now(), correlation_id(), verification)))


def create_cid_set_file(call: Call) -> Answer:
    """POST /cids/files/."""
    asked = call.document(CreateCidSetFileRequest)
    call.admit(asked.participant, asked.key_type)
    _check_key_type(asked.key_type)
    state, settings = call.service.state, call.service.settings
    kind = None if call.fault is None else call.fault.kind
    outcome = FileOutcome.AVAILABLE if kind is None else _FILE_OUTCOMES.get(kind, FileOutcome.AVAILABLE)
    made = state.files.request(asked.participant, asked.key_type, settings.file_delay, outcome)
    return Answer(201, to_xml(CreateCidSetFileResponse(state.now(), correlation_id(), _file(call, made))))


def get_cid_set_file(call: Call) -> Answer:
    """GET /cids/files/{Id}."""
    number = call.request.path_params["id"]
    call.admit()
    if not _DIGITS.fullmatch(number):
        raise Refusal(400)
    state = call.service.state
    found = state.files.get(int(number), call.service.settings.file_lifetime)
    if found is None:
        raise Refusal(404)
    call.check_may_act_for(found.participant)
    return Answer(200, to_xml(GetCidSetFileResponse(state.now(), correlation_id(), _file(call, found))))


def get_entry_by_cid(call: Call) -> Answer:
    """GET /cids/entries/{Cid}."""
    call.admit()
    try:
        cid = parse_cid(call.request.path_params["cid"])
    except ValueError:
        raise Refusal(400) from None
    state = call.service.state
    held = state.entry_by_cid(cid)
    if held is None:
        raise Refusal(404)
    call.check_may_act_for(held.entry.participant)
    entry = _extended(held)
    if _is(call.fault, FaultKind.WRONG_ENTRY):
        account = replace(entry.account, account_number=f"9{entry.account.account_number[:19]}")
        entry = replace(entry, account=account)
    request_id = held.entry.request_id
    return Answer(200, to_xml(GetEntryByCidResponse(state.now(), correlation_id(), cid, entry, request_id)))


def list_cid_set_events(call: Call) -> Answer:
    """GET /cids/events."""
    query = call.request.query_params
    participant, key_type = query.get("Participant", ""), query.get("KeyType", "")
    call.admit(participant)
    _check_key_type(key_type)
    start, end, limit = _time(query.get("StartTime")), _time(query.get("EndTime")), _limit(query.get("Limit"))
    page, now = _spoilt(_page(call, start, end, limit), call.fault), call.service.state.now()
    # DICT does not say what an empty page tells: here, the window asked for and the VSync at its end.
    times = [from_ms(event.at) for event in page.events] or [start or now, end or now]
    vsyncs = [event.vsync for event in page.events] or [page.vsync]
    events = tuple(CidSetEvent(event.type, event.cid, from_ms(event.at)) for event in page.events)
    answer = to_xml(
        ListCidSetEventsResponse(
            now,
            correlation_id(),
            page.has_more,
            participant,
            key_type,
            start_time=times[0],
            end_time=times[-1],
            sync_verifier_start=vsyncs[0],
            sync_verifier_end=vsyncs[-1],
            cid_set_events=events,
        )
    )
    if not events:
        # Where there are none, DICT leaves the list out.
        answer.remove(answer[-1])
    return Answer(200, answer)


def list_policies(call: Call) -> Answer:
    """GET /policies/."""
    call.admit()
    policies = tuple(_policy(call, name) for name in call.service.settings.all_limits())
    category = call.service.settings.category
    return Answer(200, to_xml(ListPoliciesResponse(call.service.state.now(), correlation_id(), policies, category)))


def get_policy(call: Call) -> Answer:
    """GET /policies/{policy}."""
    call.admit()
    name = call.request.path_params["policy"]
    if name not in call.service.settings.all_limits():
        raise Refusal(404)
    policy, category = _policy(call, name), call.service.settings.category
    return Answer(200, to_xml(GetPolicyResponse(call.service.state.now(), correlation_id(), policy, category)))


HANDLERS: dict[Operation, tuple[str, str, Callable[[Call], Answer]]] = {
    Operation.CREATE_SYNC_VERIFICATION: ("POST", "/sync-verifications/", create_sync_verification),
    Operation.CREATE_CID_SET_FILE: ("POST", "/cids/files/", create_cid_set_file),
    Operation.GET_CID_SET_FILE: ("GET", "/cids/files/{id}", get_cid_set_file),
    Operation.LIST_CID_SET_EVENTS: ("GET", "/cids/events", list_cid_set_events),
    Operation.GET_ENTRY_BY_CID: ("GET", "/cids/entries/{cid}", get_entry_by_cid),
    Operation.LIST_POLICIES: ("GET", "/policies/", list_policies),
    Operation.GET_POLICY: ("GET", "/policies/{policy}", get_policy),
}


def correlation_id() -> str:
    """Return a new CorrelationId: 32 hexadecimal digits."""
    return uuid4().hex


def _page(call: Call, start: datetime | None, end: datetime | None, limit: int) -> EventPage:
    query, state = call.request.query_params, call.service.state
    listed_to = to_ms(state.now()) - duration_ms(call.service.settings.log_lag)
    with state.file.reading() as connection:
        return read_page(
            connection,
            state.cid_set(query["Participant"], query["KeyType"]),
            0 if start is None else to_ms_up(start),
            listed_to if end is None else min(to_ms(end), listed_to),
            limit,
        )


def _policy(call: Call, name: str) -> Policy:
    limit = call.service.settings.all_limits()[name]
    level = call.service.state.buckets.level(call.scope(call.requester), name, limit)
    return Policy(level, limit.capacity, limit.refill_tokens, limit.refill_period_sec, name)


def _file(call: Call, state: FileState) -> CidSetFile:
    service, url = call.service, call.request.url
    host = url.netloc.removesuffix(f":{url.port}")
    base = service.settings.download_base or f"{url.scheme}://{host}:{service.files_port}"
    # The files of an indirect participant lie under its direct one's ISPB.
    folder = f"{base.rstrip('/')}{FILES_PATH}{service.state.participants.direct(state.participant)}/cidsetfile/"
    return CidSetFile(
        id=state.id,
        status=state.status,
        participant=state.participant,
        key_type=state.key_type,
        request_time=state.requested_at,
        creation_time=state.created_at,
        url=None if state.name is None else folder + state.name,
        bytes=state.bytes,
        sha256=state.sha256,
    )


def _extended(held: HeldEntry) -> ExtendedEntry:
    entry = held.entry
    return ExtendedEntry(
        key=entry.key,
        key_type=entry.key_type,
        account=Account(
            entry.participant, entry.account_number, entry.account_type, entry.account_opened_at, entry.branch
        ),
        owner=Owner(entry.owner_type, entry.owner_tax_id, entry.owner_name, entry.owner_trade_name),
        creation_date=entry.created_at,
        key_ownership_date=entry.key_owned_since,
        open_claim_creation_date=held.open_claim_at,
    )


def _spoilt(page: EventPage, fault: Fault | None) -> EventPage:
    events = page.events
    if _is(fault, FaultKind.EVENTS_NEVER_END):
        return replace(page, has_more=True)
    if _is(fault, FaultKind.EVENTS_MISSING_ONE):
        middle = len(events) // 2
        return replace(page, events=(*events[:middle], *events[middle + 1 :]))
    if _is(fault, FaultKind.EVENTS_WRONG_VERIFIER) and events:
        last: LoggedEvent = events[-1]
        wrong = bytes([last.vsync[0] ^ 1]) + last.vsync[1:]
        return replace(page, events=(*events[:-1], replace(last, vsync=wrong)))
    return page


def _is(fault: Fault | None, kind: FaultKind) -> bool:
    return fault is not None and fault.kind is kind


def _check_key_type(key_type: str) -> None:
    if key_type not in set(KeyType):
        raise Refusal(400)


def _time(text: str | None) -> datetime | None:
    """Read an RFC 3339 time, which has a time zone."""
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise Refusal(400) from None
    if time.tzinfo is None:
        raise Refusal(400)
    return time


def _limit(text: str | None) -> int:
    if text is None:
        return _DEFAULT_LIMIT
    if not _DIGITS.fullmatch(text) or not 1 <= int(text) <= _MAX_LIMIT:
        raise Refusal(400)
    return int(text)
