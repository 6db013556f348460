"""The official example messages (DICT API 2.6.1) parse, and are written again as they were."""

from pathlib import Path

import pytest
from lxml import etree

from vsync_dagster.dict_api import messages
from vsync_dagster.dict_api.messages import Problem
from vsync_dagster.dict_api.xml import MalformedMessageError, from_xml, parse_document, to_xml
from vsync_dagster_tests.dict_api.parts import CORRELATION_ID, entry, entry_answer

EXAMPLES = Path(__file__).parent / "examples"
MESSAGES = sorted(path.stem for path in EXAMPLES.glob("*.xml") if not path.stem.startswith("problem-"))
PROBLEMS = sorted(path.stem.removeprefix("problem-") for path in EXAMPLES.glob("problem-*.xml"))
STATUSES = {
    "BadRequest": 400,
    "EntryInvalid": 400,
    "Forbidden": 403,
    "NotFound": 404,
    "RateLimited": 429,
    "ServiceUnavailable": 503,
}


def example(name: str) -> etree._Element:
    return parse_document((EXAMPLES / f"{name}.xml").read_bytes())


def shape(element: etree._Element) -> object:
    """An element without its signature, layout and order of children (but for that of a list's items)."""
    children = [(etree.QName(child).localname, shape(child)) for child in element if isinstance(child.tag, str)]
    if not children:
        return element.text
    return sorted((name, value) for name, value in children if name != "Signature")


def test_all_nine_official_messages_are_here() -> None:
    assert len(MESSAGES) == 9
    assert set(PROBLEMS) == set(STATUSES)


@pytest.mark.parametrize("name", MESSAGES)
def test_an_official_message_survives_the_round_trip(name: str) -> None:
    message_type = getattr(messages, name)
    message = from_xml(message_type, example(name))

    assert shape(to_xml(message)) == shape(example(name))
    assert from_xml(message_type, to_xml(message)) == message


@pytest.mark.parametrize("kind", PROBLEMS)
def test_an_official_problem_is_understood(kind: str) -> None:
    found = Problem.from_xml(example(f"problem-{kind}"))

    assert (found.kind, found.status, found.correlation_id) == (kind, STATUSES[kind], None)
    assert Problem.from_xml(found.to_xml()) == found


def test_a_problem_does_not_keep_what_can_quote_a_key() -> None:
    assert "61988887777" in (EXAMPLES / "problem-EntryInvalid.xml").read_text()
    assert "61988887777" not in repr(Problem.from_xml(example("problem-EntryInvalid")))


def test_a_problem_keeps_its_correlation_id() -> None:
    problem = Problem("NotFound", 404, "Not found", CORRELATION_ID)

    assert Problem.from_xml(problem.to_xml()) == problem


@pytest.mark.parametrize(
    "body",
    [
        b"<html><status>404</status></html>",
        b'<problem xmlns="urn:ietf:rfc:7807"><status>404</status></problem>',
        b'<problem xmlns="urn:ietf:rfc:7807"><type>x/NotFound</type><status>many</status></problem>',
    ],
)
def test_something_else_is_no_problem_document(body: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        Problem.from_xml(parse_document(body))


def test_an_entry_arrives_in_the_cores_own_form() -> None:
    sent = entry(5)
    answer = from_xml(messages.GetEntryByCidResponse, parse_document(entry_answer(sent).body))

    assert answer.to_entry() == sent
    assert answer.to_entry().cid() == answer.cid


def test_an_absent_branch_and_trade_name_are_none() -> None:
    official = example("GetEntryByCidResponse")
    (branch,) = official.iterfind("Entry/Account/Branch")
    account = branch.getparent()
    assert account is not None
    account.remove(branch)

    found = from_xml(messages.GetEntryByCidResponse, official).to_entry()

    assert (found.branch, found.owner_trade_name) == (None, None)


def test_personal_data_has_no_repr() -> None:
    answer = from_xml(messages.GetEntryByCidResponse, example("GetEntryByCidResponse"))

    for shown in (repr(answer), repr(answer.entry), repr(answer.entry.owner), repr(answer.to_entry())):
        assert "11122233300" not in shown
        assert "Silva" not in shown


def test_unknown_key_types_and_statuses_are_kept_as_text() -> None:
    body = (EXAMPLES / "GetCidSetFileResponse.xml").read_bytes()
    body = body.replace(b"PHONE", b"IRIS").replace(b"AVAILABLE", b"ARCHIVED")

    file = from_xml(messages.GetCidSetFileResponse, parse_document(body)).cid_set_file

    assert (file.key_type, file.status) == ("IRIS", "ARCHIVED")


def test_an_event_log_without_events_has_an_empty_list() -> None:
    body = (EXAMPLES / "ListCidSetEventsResponse.xml").read_text()
    begin, end = body.index("<CidSetEvents>"), body.index("</CidSetEvents>") + len("</CidSetEvents>")
    document = parse_document((body[:begin] + body[end:]).encode())

    assert from_xml(messages.ListCidSetEventsResponse, document).cid_set_events == ()
