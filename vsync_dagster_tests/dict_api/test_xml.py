"""Dataclasses to XML and back."""

import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Literal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from vsync_dagster.dict_api.xml import (
    MAX_DOCUMENT_BYTES,
    MalformedMessageError,
    from_xml,
    parse_document,
    serialize,
    to_xml,
)


@dataclass(frozen=True)
class Part:
    name: str


@dataclass(frozen=True)
class Sample:
    name: str
    count: int
    is_open: bool
    cid: bytes
    at: datetime
    request_id: UUID
    part: Part
    remark: str | None = None
    parts: tuple[Part, ...] = ()


SAMPLE = Sample(
    name="João & <Maria>",
    count=7,
    is_open=True,
    cid=bytes(range(32)),
    at=datetime(2026, 1, 10, 10, 0, 0, 123000, tzinfo=UTC),
    request_id=UUID(int=1),
    part=Part("one"),
    parts=(Part("two"), Part("three")),
)


def document_with(**texts: str) -> bytes:
    """The sample as text, with some elements' content replaced."""
    elements = {
        "Name": "n",
        "Count": "7",
        "IsOpen": "true",
        "Cid": "ab" * 32,
        "At": "2026-01-10T10:00:00.000Z",
        "RequestId": str(UUID(int=1)),
        "Part": "<Name>one</Name>",
    } | texts
    return ("<Sample>" + "".join(f"<{name}>{text}</{name}>" for name, text in elements.items()) + "</Sample>").encode()


def read(body: bytes) -> Sample:
    return from_xml(Sample, parse_document(body))


def test_a_message_is_written_in_dicts_notation() -> None:
    assert serialize(to_xml(SAMPLE)).decode() == (
        "<?xml version='1.0' encoding='UTF-8'?>\n"
        "<Sample><Name>João &amp; &lt;Maria&gt;</Name><Count>7</Count><IsOpen>true</IsOpen>"
        "<Cid>000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f</Cid>"
        "<At>2026-01-10T10:00:00.123Z</At><RequestId>00000000-0000-0000-0000-000000000001</RequestId>"
        "<Part><Name>one</Name></Part>"
        "<Parts><Part><Name>two</Name></Part><Part><Name>three</Name></Part></Parts></Sample>"
    )


def test_a_message_survives_the_round_trip() -> None:
    assert read(serialize(to_xml(SAMPLE))) == SAMPLE


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff")))
def test_text_arrives_exactly_as_it_was_sent(text: str) -> None:
    assert from_xml(Part, parse_document(serialize(to_xml(Part(text))))) == Part(text)


@given(st.datetimes(timezones=st.just(UTC)), st.binary(min_size=32, max_size=32), st.integers(), st.booleans())
def test_scalars_survive_the_round_trip(at: datetime, cid: bytes, count: int, is_open: bool) -> None:
    at = at.replace(microsecond=at.microsecond // 1000 * 1000)
    sample = Sample("n", count, is_open, cid, at, UUID(int=2), Part("p"))

    assert read(serialize(to_xml(sample))) == sample


def test_unknown_elements_comments_and_order_do_not_matter() -> None:
    body = document_with().replace(b"<Sample>", b"<Sample><!-- hello --><New><Name>x</Name></New>")
    reordered = body.replace(b"<Count>7</Count>", b"").replace(b"</Sample>", b"<Count>7</Count></Sample>")

    assert read(reordered) == read(document_with())


def test_a_comment_does_not_part_a_text() -> None:
    assert read(document_with(Name="be<!-- hidden -->fore")).name == "before"


def test_unknown_elements_in_a_list_are_skipped() -> None:
    assert read(document_with(Parts="<New/><Part><Name>a</Name></Part>")).parts == (Part("a"),)


def test_a_default_namespace_does_not_matter() -> None:
    assert read(document_with().replace(b"<Sample>", b'<Sample xmlns="urn:x">')) == read(document_with())


def test_hexadecimal_is_read_in_both_cases() -> None:
    assert read(document_with(Cid="AB" * 32)).cid == read(document_with(Cid="ab" * 32)).cid


@pytest.mark.parametrize(("text", "value"), [("true", True), ("1", True), ("false", False), ("0", False)])
def test_booleans_are_those_of_xml_schema(text: str, value: bool) -> None:
    assert read(document_with(IsOpen=text)).is_open is value


def test_times_become_utc() -> None:
    local = datetime(2026, 1, 10, 7, 0, tzinfo=timezone(timedelta(hours=-3)))

    assert read(document_with(At=local.isoformat())).at == datetime(2026, 1, 10, 10, 0, tzinfo=UTC)
    assert read(document_with(At=local.isoformat())).at.tzinfo is UTC
    assert read(document_with(At="2026-01-10T10:00:00")).at.tzinfo is UTC


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Count", "secret"),
        ("IsOpen", "secret"),
        ("Cid", "secret"),
        ("Cid", "ab" * 31),
        ("Cid", "ab " * 32),
        ("At", "secret"),
        ("At", "0001-01-01T00:00:00+14:00"),
        ("RequestId", "secret"),
        ("Name", "sec<?hidden?>ret"),
        ("Name", "secret<b/>"),
    ],
)
def test_a_malformed_value_is_refused_without_being_quoted(name: str, text: str) -> None:
    with pytest.raises(MalformedMessageError, match=rf"^Sample\.{name} is malformed$") as error:
        read(document_with(**{name: text}))
    assert error.value.__suppress_context__


def test_a_missing_element_is_refused_by_name() -> None:
    with pytest.raises(MalformedMessageError, match=r"^Sample has no Count$"):
        read(document_with().replace(b"<Count>7</Count>", b""))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"secret",
        b"<Sample><Name>secret</Sample>",
        b"<!DOCTYPE Sample><Sample/>",
        b'<!DOCTYPE Sample [<!ENTITY e "secret">]><Sample>&e;</Sample>',
        b'<!DOCTYPE Sample SYSTEM "file:///etc/passwd"><Sample/>',
        b"<Sample>" + b" " * MAX_DOCUMENT_BYTES + b"</Sample>",
        b"<Sample>" + b"<secret>" * 256 + b"</secret>" * 256 + b"</Sample>",
    ],
)
def test_a_document_that_is_no_plain_small_xml_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedMessageError) as error:
        parse_document(body)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("encoding", ["UTF-8", "ISO-8859-1"])
def test_accents_are_read_as_they_were_written(form: Literal["NFC", "NFD"], encoding: str) -> None:
    """Each code point enters a CID, so none may be composed, decomposed or guessed."""
    name = unicodedata.normalize(form, "João Ávila")
    element = etree.Element("Part")
    etree.SubElement(element, "Name").text = name
    document = etree.tostring(element, xml_declaration=True, encoding=encoding)

    assert from_xml(Part, parse_document(document)).name == name
    assert from_xml(Part, parse_document(serialize(to_xml(Part(name))))).name == name


def test_latin_1_that_says_it_is_utf_8_is_no_message() -> None:
    document = "<?xml version='1.0' encoding='UTF-8'?><Part><Name>João</Name></Part>".encode("latin-1")
    with pytest.raises(MalformedMessageError, match="not well-formed"):
        parse_document(document)
