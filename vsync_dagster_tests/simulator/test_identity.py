"""Who may speak with the simulated DICT, and how it signs: as DICT does, from its side."""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from lxml import etree

from vsync_dagster.dict_api.errors import SignatureRefusedError
from vsync_dagster.dict_api.messages import CreateSyncVerificationRequest, SyncVerification
from vsync_dagster.dict_api.signatures import Verifier
from vsync_dagster.dict_api.xml import parse_document, serialize, to_xml
from vsync_dagster.reconcile.vsync import EMPTY_VSYNC
from vsync_dagster.simulator.buckets import DOCUMENTED
from vsync_dagster.simulator.faults import FaultKind
from vsync_dagster.simulator.operations import Operation
from vsync_dagster.simulator.server import running_simulator
from vsync_dagster.simulator.state import DictState
from vsync_dagster_tests.simulator.parts import BARE_HOST, DIRECT, HEADER, INDIRECT, OTHER, problem
from vsync_dagster_tests.world import certificates

XML = {"Content-Type": "application/xml"}


def tls(ispb: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certificates().authority_file)
    if ispb is not None:
        client = certificates().client(ispb)
        context.load_cert_chain(client.certificate_file, client.key_file)
    return context


@dataclass
class Caller:
    """Calls over TLS with a participant's certificate."""

    http: httpx.Client

    def verify(self, participant: str, signed_by: str | None) -> httpx.Response:
        """Send a sync verification, signed by somebody or nobody."""
        document = to_xml(CreateSyncVerificationRequest(SyncVerification(participant, "CPF", EMPTY_VSYNC)))
        if signed_by is not None:
            certificates().participant_signing(signed_by).signer()(document)
        return self.http.post("sync-verifications/", content=serialize(document), headers=XML)

    def policies(self, **headers: str) -> httpx.Response:
        """Ask for the buckets."""
        return self.http.get("policies/", headers=headers)


@pytest.fixture
def url(state: DictState) -> Iterator[str]:
    with running_simulator(state, certificates=certificates()) as running:
        yield running


@pytest.fixture
def direct(url: str) -> Iterator[Caller]:
    with httpx.Client(base_url=url, headers=BARE_HOST, verify=tls(DIRECT)) as http:
        yield Caller(http)


def test_a_connection_without_a_certificate_is_refused(url: str) -> None:
    assert url.startswith("https://")
    with httpx.Client(verify=tls(None)) as http, pytest.raises(httpx.TransportError):
        http.get(f"{url}policies/", headers={HEADER: DIRECT})


def test_a_participant_is_the_one_of_its_certificate(direct: Caller, state: DictState) -> None:
    assert direct.policies().status_code == 200
    assert direct.policies(**{HEADER: DIRECT}).status_code == 200

    assert problem(direct.policies(**{HEADER: OTHER})) == (403, "Forbidden")
    assert (
        state.buckets.level(OTHER, "POLICIES_LIST", DOCUMENTED["POLICIES_LIST"]) == DOCUMENTED["POLICIES_LIST"].capacity
    )


def test_a_direct_participant_speaks_for_its_indirect_but_for_no_other(direct: Caller, state: DictState) -> None:
    policy = DOCUMENTED["POLICIES_LIST"]
    assert direct.policies(**{HEADER: INDIRECT}).status_code == 200
    assert state.buckets.level(INDIRECT, "POLICIES_LIST", policy) == policy.capacity - 1
    assert state.buckets.level(DIRECT, "POLICIES_LIST", policy) == policy.capacity
    assert direct.verify(INDIRECT, signed_by=DIRECT).status_code == 201
    assert problem(direct.verify(OTHER, signed_by=DIRECT)) == (403, "Forbidden")


@pytest.mark.parametrize("signed_by", [None, OTHER, INDIRECT])
def test_a_request_is_signed_by_whoever_sends_it(direct: Caller, state: DictState, signed_by: str | None) -> None:
    assert problem(direct.verify(DIRECT, signed_by)) == (400, "RequestSignatureInvalid")
    assert state.verifications(DIRECT) == []


def test_answers_are_signed_problems_too(direct: Caller) -> None:
    verify = Verifier([certificates().signing.certificate()])

    for answer in (direct.policies(), direct.verify(DIRECT, DIRECT), direct.verify(DIRECT, None), direct.http.get("x")):
        verify(parse_document(answer.content))


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (FaultKind.SIGNATURE_MISSING, "there is none"),
        (FaultKind.SIGNATURE_BROKEN, "does not hold"),
        (FaultKind.SIGNATURE_BY_ANOTHER, "does not hold"),
        (FaultKind.SIGNATURE_WRAPPED, "does not hold"),
    ],
)
def test_a_signature_can_be_wrong_for_one_answer(direct: Caller, state: DictState, kind: FaultKind, why: str) -> None:
    verify = Verifier([certificates().signing.certificate()])
    state.faults.add(Operation.LIST_POLICIES, kind)
    wrong, right = direct.policies(), direct.policies()

    with pytest.raises(SignatureRefusedError, match=why):
        verify(parse_document(wrong.content))
    assert wrong.status_code == 200
    assert etree.QName(parse_document(wrong.content)).localname == "ListPoliciesResponse"
    verify(parse_document(right.content))
