"""The reconciliation operations over HTTP, as the specification has them."""

import gzip
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from lxml import etree

from vsync_dagster.dict_api.messages import (
    CreateCidSetFileRequest,
    CreateSyncVerificationRequest,
    CreateSyncVerificationResponse,
    GetEntryByCidResponse,
    SyncVerification,
)
from vsync_dagster.dict_api.xml import parse_document, serialize, to_xml
from vsync_dagster.reconcile.vsync import EMPTY_VSYNC
from vsync_dagster.simulator.buckets import DOCUMENTED
from vsync_dagster.simulator.errors import SimulatorStateError
from vsync_dagster.simulator.faults import FaultKind
from vsync_dagster.simulator.operations import Operation
from vsync_dagster.simulator.state import DictState
from vsync_dagster_tests.simulator.parts import (
    DIRECT,
    HEADER,
    INDIRECT,
    NOON,
    OTHER,
    Api,
    an_entry,
    entries,
    problem,
    read,
)

EXAMPLES = Path(__file__).parent.parent / "dict_api" / "examples"
XML = {"Content-Type": "application/xml"}


def verification(participant: str = DIRECT, key_type: str = "PHONE", verifier: bytes = EMPTY_VSYNC) -> object:
    return CreateSyncVerificationRequest(SyncVerification(participant, key_type, verifier))


def test_a_verification_is_ok_while_the_set_is_the_one_verified(api: Api, state: DictState) -> None:
    def result(verifier: bytes) -> str | None:
        answer = api.post("sync-verifications/", verification(verifier=verifier))
        return read(CreateSyncVerificationResponse, answer, 201).sync_verification.result

    assert result(EMPTY_VSYNC) == "OK"
    cid = state.create_entry(an_entry())
    assert [result(EMPTY_VSYNC), result(cid)] == ["NOK", "OK"]
    state.update_entry(an_entry().key, branch="0002")
    assert result(cid) == "NOK"


def test_a_verification_echoes_what_was_sent_with_an_id_of_its_own(api: Api, state: DictState) -> None:
    answers = [api.post("sync-verifications/", verification()) for _ in range(2)]
    first, second = (read(CreateSyncVerificationResponse, answer, 201) for answer in answers)
    assert first.response_time == NOON
    assert first.correlation_id != second.correlation_id
    assert len(first.correlation_id or "") == 32
    sent = first.sync_verification
    assert (sent.participant, sent.key_type, sent.participant_sync_verifier) == (DIRECT, "PHONE", EMPTY_VSYNC)
    assert second.sync_verification.id == (sent.id or 0) + 1
    assert state.verifications(DIRECT) == [("PHONE", NOON, "OK")] * 2


@pytest.mark.parametrize(
    ("path", "name"),
    [("sync-verifications/", "CreateSyncVerificationRequest"), ("cids/files/", "CreateCidSetFileRequest")],
)
def test_the_official_example_requests_are_served(api: Api, path: str, name: str) -> None:
    answer = api.http.post(path, content=(EXAMPLES / f"{name}.xml").read_bytes(), headers=XML)
    assert answer.status_code == 201
    official = parse_document((EXAMPLES / f"{name.replace('Request', 'Response')}.xml").read_bytes())
    assert _names(parse_document(answer.content)) == _names(official) - {"Signature"}


def _names(root: etree._Element) -> set[str]:
    return {etree.QName(element).localname for element in root.iter(etree.Element)}


def test_a_look_up_gives_the_entry_and_the_request_id_that_hash_to_the_cid(api: Api, state: DictState) -> None:
    people = entries(200, "CPF", "CNPJ", "PHONE", "EMAIL", "EVP")
    state.bulk_create(people)
    for one in people[:40]:
        answer = read(GetEntryByCidResponse, api.get(f"cids/entries/{one.cid().hex()}"))
        assert answer.to_entry() == one
        assert answer.to_entry().cid() == answer.cid == one.cid()


def test_a_look_up_has_the_elements_of_the_official_example(api: Api, state: DictState) -> None:
    cid = state.create_entry(an_entry())
    root = parse_document(api.get(f"cids/entries/{cid.hex().upper()}").content)
    official = parse_document((EXAMPLES / "GetEntryByCidResponse.xml").read_bytes())
    assert _names(root) == _names(official) - {"Signature"}
    state.open_claim(an_entry().key)
    claimed = read(GetEntryByCidResponse, api.get(f"cids/entries/{cid.hex()}"))
    assert claimed.entry.open_claim_creation_date == NOON


@pytest.mark.parametrize(
    ("path", "request_of", "required"),
    [
        ("sync-verifications/", verification(), {"SyncVerification"}),
        (
            "cids/files/",
            CreateCidSetFileRequest(DIRECT, "PHONE"),
            {"ResponseTime", "CorrelationId", "CidSetFile"},
        ),
        (
            f"cids/events?Participant={DIRECT}&KeyType=PHONE",
            None,
            {"ResponseTime", "CorrelationId", "HasMoreElements", "Participant", "KeyType", "StartTime", "EndTime",
             "SyncVerifierStart", "SyncVerifierEnd"},
        ),
        (
            f"cids/entries/{an_entry().cid().hex()}",
            None,
            {"ResponseTime", "CorrelationId", "Cid", "Entry", "RequestId"},
        ),
        ("policies/", None, {"ResponseTime", "CorrelationId", "Category"}),
        ("policies/CIDS_FILES_READ", None, {"ResponseTime", "CorrelationId", "Category", "Policy"}),
    ],
)  # fmt: skip
def test_answers_have_what_the_schema_requires(
    api: Api, state: DictState, path: str, request_of: object | None, required: set[str]
) -> None:
    """DICT API 2.12.1, `required` of each answer."""
    state.create_entry(an_entry())
    answer = api.http.get(path, headers=api.headers) if request_of is None else api.post(path, request_of)
    assert answer.status_code in (200, 201)
    given = {etree.QName(child).localname: child for child in parse_document(answer.content)}
    assert given.keys() >= required
    if "Category" in required:
        assert given["Category"].text in set("ABCDEFGH")


LETTERED, LETTERED_INDIRECT = "ABcd1234", "zz00ZZ0z"


def test_participants_accounts_and_cnpjs_may_hold_letters(api: Api, state: DictState) -> None:
    """DICT API 2.12.1, schemas ISPB and BrazilianAccount; the log's Participant too, whose text still says digits."""
    state.participants.add(LETTERED)
    state.participants.add(LETTERED_INDIRECT, via=LETTERED)
    entry = an_entry(
        participant=LETTERED_INDIRECT,
        key_type="CNPJ",
        key="12abC34501De35",
        account_number="00a7K",
        account_type="OTHR",
    )
    cid = state.create_entry(entry)
    direct = Api(api.http, LETTERED)

    found = read(GetEntryByCidResponse, direct.get(f"cids/entries/{cid.hex()}"))
    assert found.to_entry() == entry
    assert direct.events("CNPJ", LETTERED_INDIRECT).participant == LETTERED_INDIRECT
    verified = read(
        CreateSyncVerificationResponse,
        direct.post("sync-verifications/", verification(LETTERED_INDIRECT, "CNPJ", cid)),
        201,
    )
    assert (verified.sync_verification.participant, verified.sync_verification.result) == (LETTERED_INDIRECT, "OK")


def test_another_case_of_letters_is_another_participant_which_nobody_is(api: Api, state: DictState) -> None:
    state.participants.add(LETTERED)
    assert problem(Api(api.http, LETTERED.lower()).get("policies/")) == (403, "Forbidden")
    with pytest.raises(SimulatorStateError, match="takes part as ABcd1234"):
        state.participants.add(LETTERED.lower())


def test_a_conflict_is_a_resource_conflict(api: Api, state: DictState) -> None:
    """DICT API 2.12.1, response Conflict; none of the operations here lists it, and any may come to."""
    state.faults.add(Operation.GET_ENTRY_BY_CID, FaultKind.STATUS, status=409)
    assert problem(api.get(f"cids/entries/{an_entry().cid().hex()}")) == (409, "ResourceConflict")


def test_a_cid_that_is_gone_is_not_found_and_anothers_is_forbidden(api: Api, state: DictState) -> None:
    cid = state.create_entry(an_entry())
    assert problem(Api(api.http, OTHER).get(f"cids/entries/{cid.hex()}")) == (403, "Forbidden")
    state.delete_entry(an_entry().key)
    assert problem(api.get(f"cids/entries/{cid.hex()}")) == (404, "NotFound")
    assert problem(api.get("cids/entries/xyz")) == (400, "BadRequest")


def test_a_direct_participant_acts_for_its_indirects_and_nobody_else(api: Api, state: DictState) -> None:
    cid = state.create_entry(an_entry(participant=INDIRECT))
    direct, indirect, stranger = api, Api(api.http, INDIRECT), Api(api.http, OTHER)
    look_ups = [one.get(f"cids/entries/{cid.hex()}").status_code for one in (direct, indirect, stranger)]
    assert look_ups == [200, 200, 403]
    sent = verification(INDIRECT, "PHONE", cid)
    assert [one.post("sync-verifications/", sent).status_code for one in (direct, indirect, stranger)] == [
        201,
        201,
        403,
    ]
    logs = [one.get("cids/events", Participant=INDIRECT, KeyType="PHONE") for one in (direct, indirect, stranger)]
    assert [answer.status_code for answer in logs] == [200, 200, 403]
    assert indirect.post("sync-verifications/", verification(DIRECT)).status_code == 403


def test_messages_that_name_the_participant_need_no_header(api: Api) -> None:
    anonymous = Api(api.http, None)
    assert anonymous.post("sync-verifications/", verification()).status_code == 201
    assert anonymous.post("cids/files/", CreateCidSetFileRequest(DIRECT, "CPF")).status_code == 201
    assert anonymous.get("cids/events", Participant=DIRECT, KeyType="CPF").status_code == 200


@pytest.mark.parametrize("path", ["cids/files/1", f"cids/entries/{'0' * 64}", "policies/", "policies/CIDS_FILES_READ"])
def test_the_header_is_required_well_formed_and_known(api: Api, path: str) -> None:
    assert problem(Api(api.http, None).get(path)) == (400, "BadRequest")
    assert problem(Api(api.http, "1234567-").get(path)) == (400, "BadRequest")
    assert problem(Api(api.http, "99999999").get(path)) == (403, "Forbidden")


def test_a_participant_nobody_knows_is_forbidden(api: Api) -> None:
    for one in (api, Api(api.http, None)):
        assert problem(one.post("sync-verifications/", verification("99999999"))) == (403, "Forbidden")
        assert problem(one.get("cids/events", Participant="99999999", KeyType="CPF")) == (403, "Forbidden")


def _post(api: Api, content: bytes, headers: dict[str, str] = XML) -> httpx.Response:
    return api.http.post("sync-verifications/", content=content, headers={HEADER: DIRECT, **headers})


GOOD = serialize(to_xml(verification()))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: b"",
        lambda good: good[:-3],
        lambda good: good.replace(b"CreateSyncVerificationRequest", b"CreateCidSetFileRequest"),
        lambda good: good.replace(b"KeyType", b"Type"),
        lambda good: good.replace(b"PHONE", b"FAX"),
        lambda good: good.replace(b"0" * 64, b"0" * 63),
        lambda good: good.replace(DIRECT.encode(), b"1234567"),
        lambda good: good.replace(DIRECT.encode(), b""),
        lambda good: good.replace(b"<Create", b"<!DOCTYPE x><Create", 1),
    ],
)
def test_a_malformed_message_is_a_bad_request(api: Api, spoil: Callable[[bytes], bytes]) -> None:
    assert _post(api, GOOD).status_code == 201
    assert problem(_post(api, spoil(GOOD))) == (400, "BadRequest")


def test_compressed_and_otherwise_typed_requests_are_refused(api: Api) -> None:
    compressed = _post(api, gzip.compress(GOOD), XML | {"Content-Encoding": "gzip"})
    assert problem(compressed) == (400, "BadRequest")
    assert problem(_post(api, GOOD, {"Content-Type": "application/json"})) == (400, "BadRequest")
    assert _post(api, GOOD, {"Content-Type": "application/xml; charset=utf-8"}).status_code == 201


def test_answers_are_compressed_for_those_who_ask_and_connections_kept(api: Api, state: DictState) -> None:
    cid = state.create_entry(an_entry()).hex()
    plain = api.http.get(f"cids/entries/{cid}", headers={HEADER: DIRECT, "Accept-Encoding": "identity"})
    small = api.http.get(f"cids/entries/{cid}", headers={HEADER: DIRECT, "Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in plain.headers
    assert small.headers["Content-Encoding"] == "gzip"
    assert int(small.headers["Content-Length"]) < int(plain.headers["Content-Length"])
    assert b"Jo\xc3\xa3o Silva" in plain.content
    assert plain.headers["Keep-Alive"].startswith("timeout=")


def test_paths_and_methods_that_are_not_dicts_are_problems_too(api: Api) -> None:
    assert problem(api.get("entries/1")) == (404, "NotFound")
    assert problem(api.get("policies")) == (404, "NotFound")
    assert api.get("cids/files/").status_code == 405


def test_what_goes_wrong_inside_is_a_500_without_a_word_of_it(
    api: Api, state: DictState, caplog: pytest.LogCaptureFixture
) -> None:
    cid = state.create_entry(an_entry())
    state.file.connection.execute("UPDATE entries SET request_id = x'00'")
    answer = api.get(f"cids/entries/{cid.hex()}")
    assert problem(answer) == (500, "InternalServerError")
    assert caplog.messages == ["getEntryByCid failed: ValueError"]
    assert state.buckets.level(DIRECT, "CIDS_ENTRIES_READ", DOCUMENTED["CIDS_ENTRIES_READ"]) == 36_000
