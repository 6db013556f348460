"""DICT's reconciliation and policy operations (DICT API 2.12.1) for one participant, over HTTP."""

from dataclasses import replace
from datetime import datetime

from vsync_dagster.dict_api import budget as policies
from vsync_dagster.dict_api.calling import DictCaller, Seen, expect
from vsync_dagster.dict_api.exchange import Request
from vsync_dagster.dict_api.messages import (
    CreateCidSetFileRequest,
    CreateCidSetFileResponse,
    CreateSyncVerificationRequest,
    CreateSyncVerificationResponse,
    GetCidSetFileResponse,
    GetEntryByCidResponse,
    GetPolicyResponse,
    ListCidSetEventsResponse,
    ListPoliciesResponse,
    SyncVerification,
)
from vsync_dagster.dict_api.retrying import AmbiguityRule
from vsync_dagster.dict_api.xml import to_text

MAX_EVENTS_A_PAGE = 200

# A CID file whose answer is lost, or is a 5xx, may have been made: one of 40 a day, and no call lists files.
_FILE_AMBIGUITY = AmbiguityRule(most=1, pause=30.0)
_XML = {"Content-Type": "application/xml"}


class DictClient(DictCaller):
    """DICT, for one participant: see `DictCaller` for its parts and for what its methods raise."""

    __slots__ = ()

    def create_sync_verification(self, key_type: str, vsync: bytes) -> CreateSyncVerificationResponse:
        """Ask whether DICT's VSync of a key type is this one; the result is OK or NOK."""
        asked = SyncVerification(self.participant, key_type, vsync)

        def accept(answer: CreateSyncVerificationResponse, seen: Seen) -> None:
            told = answer.sync_verification
            expect(replace(told, id=None, result=None) == asked, "is not about the VSync that was sent")
            expect(told.id is not None and told.result in ("OK", "NOK"), "has no id or no known result")
            seen.result, seen.reference = str(told.result), str(told.id)

        request = Request(
            "createSyncVerification",
            policies.SYNC_VERIFICATIONS_WRITE,
            "POST",
            "sync-verifications/",
            headers=_XML,
            body=self.document(CreateSyncVerificationRequest(asked)),
            key_type=key_type,
        )
        return self.call(request, CreateSyncVerificationResponse, accept)

    def create_cid_set_file(self, key_type: str) -> CreateCidSetFileResponse:
        """Ask for a CID file. Each costs one of 40 a day, so a doubtful failure is retried once, after a pause.

        What may have been counted stays spent in the budget, a 500 too.
        """

        def accept(answer: CreateCidSetFileResponse, seen: Seen) -> None:
            file = answer.cid_set_file
            expect((file.participant, file.key_type) == (self.participant, key_type), "is about another set")
            seen.result, seen.reference = file.status, str(file.id)

        request = Request(
            "createCidSetFile",
            policies.CIDS_FILES_WRITE,
            "POST",
            "cids/files/",
            headers=_XML,
            body=self.document(CreateCidSetFileRequest(self.participant, key_type)),
            key_type=key_type,
        )
        return self.call(request, CreateCidSetFileResponse, accept, _FILE_AMBIGUITY)

    def get_cid_set_file(self, file_id: int, key_type: str) -> GetCidSetFileResponse:
        """Look at the state of a CID file of a key type."""

        def accept(answer: GetCidSetFileResponse, seen: Seen) -> None:
            file = answer.cid_set_file
            told = (file.id, file.participant, file.key_type)
            expect(told == (file_id, self.participant, key_type), "is about another file")
            seen.result = file.status

        request = Request(
            "getCidSetFile",
            policies.CIDS_FILES_READ,
            "GET",
            f"cids/files/{file_id}",
            headers=self._requester_header(),
            key_type=key_type,
            reference=str(file_id),
        )
        return self.call(request, GetCidSetFileResponse, accept)

    def list_cid_set_events(
        self,
        key_type: str,
        start: datetime | None,
        end: datetime | None = None,
        limit: int = MAX_EVENTS_A_PAGE,
    ) -> ListCidSetEventsResponse:
        """Read one page of the event log, from `start` to `end`, both inclusive, at most 200 events."""
        params = {"Participant": self.participant, "KeyType": key_type, "Limit": str(limit)}
        if start is not None:
            params["StartTime"] = to_text(start)
        if end is not None:
            params["EndTime"] = to_text(end)

        def accept(answer: ListCidSetEventsResponse, seen: Seen) -> None:
            told = (answer.participant, answer.key_type)
            expect(told == (self.participant, key_type), "is about another set")
            seen.result = f"{len(answer.cid_set_events)} events"

        request = Request(
            "listCidSetEvents", policies.CIDS_EVENTS_LIST, "GET", "cids/events", params=params, key_type=key_type
        )
        return self.call(request, ListCidSetEventsResponse, accept)

    def get_entry_by_cid(self, cid: bytes) -> GetEntryByCidResponse:
        """Read the active entry behind a CID, with its request id."""

        def accept(answer: GetEntryByCidResponse, seen: Seen) -> None:
            expect(answer.cid == cid, "is about another CID")
            seen.result = "FOUND"

        request = Request(
            "getEntryByCid",
            policies.CIDS_ENTRIES_READ,
            "GET",
            f"cids/entries/{cid.hex()}",
            headers=self._requester_header(),
        )
        return self.call(request, GetEntryByCidResponse, accept)

    def list_policies(self) -> ListPoliciesResponse:
        """Read the state of all buckets, and have the budget learn it."""

        def accept(answer: ListPoliciesResponse, seen: Seen) -> None:
            seen.result = f"{len(answer.policies)} policies"

        headers = self._requester_header()
        request = Request("bucketStates", policies.POLICIES_LIST, "GET", "policies/", headers=headers)
        answer = self.call(request, ListPoliciesResponse, accept)
        self.budget.learn(answer.policies)
        return answer

    def get_policy(self, policy: str) -> GetPolicyResponse:
        """Read the state of one bucket, and have the budget learn it."""

        def accept(answer: GetPolicyResponse, seen: Seen) -> None:
            expect(answer.policy.name == policy, "is about another policy")
            seen.result = policy

        headers = self._requester_header()
        request = Request("getPolicy", policies.POLICIES_READ, "GET", f"policies/{policy}", headers=headers)
        answer = self.call(request, GetPolicyResponse, accept)
        self.budget.learn((answer.policy,))
        return answer

    def _requester_header(self) -> dict[str, str]:
        # API 2.12.1: the participant, "direto ou indireto", that makes the request. A look-up names it nowhere else, so
        # by this header DICT knows whose bucket to charge.
        return {"PI-RequestingParticipant": self.participant}
