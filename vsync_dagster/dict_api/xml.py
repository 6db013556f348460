"""Dataclasses to DICT's XML and back.

A message is a dataclass; the field `key_type` is the element `KeyType`. Reading follows DICT's rule for
compatible evolution (OpenAPI, "Evolução"): unknown elements are skipped and order does not matter. The parser
takes no DOCTYPE, no entities and nothing from the network, and a bounded size and depth. It leaves out comments, as
signatures do: what is not signed must not part a text that is.
"""

import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from functools import cache
from typing import TypeVar
from uuid import UUID

from lxml import etree

from vsync_dagster.reconcile.cid import parse_cid
from vsync_dagster.reconcile.errors import VsyncError

MAX_DOCUMENT_BYTES = 1 << 20
_Message = TypeVar("_Message")


class MalformedMessageError(VsyncError):
    """What was received is not the message that DICT's specification describes; nothing of it is used."""

    code = "dict-answer"


def parse_document(body: bytes) -> etree._Element:
    """Parse a small XML document from a stranger.

    Raises:
        MalformedMessageError: too large, too deep (over libxml2's 256 levels), not well-formed, or with a DOCTYPE.
    """
    if len(body) > MAX_DOCUMENT_BYTES:
        raise MalformedMessageError(f"an XML message of {len(body)} bytes is over {MAX_DOCUMENT_BYTES}")
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True
    )
    try:
        root = etree.fromstring(body, parser)
    except etree.XMLSyntaxError:
        # The parser's text can quote the document, which can hold a key.
        raise MalformedMessageError("a message is not well-formed XML") from None
    if root.getroottree().docinfo.doctype:
        raise MalformedMessageError("a message has a DOCTYPE, which is not accepted")
    return root


def to_xml(message: object, root_name: str | None = None) -> etree._Element:
    """Return the element of a message, named after its class; fields that are None are left out."""
    element = etree.Element(root_name or type(message).__name__)
    for field in fields(message):  # type: ignore[arg-type]
        value = getattr(message, field.name)
        if value is not None:
            element.append(_to_element(_element_name(field.name), value))
    return element


def serialize(element: etree._Element) -> bytes:
    """Return the bytes to send: UTF-8, declared, without added white space (it would break a signature)."""
    document: bytes = etree.tostring(element, xml_declaration=True, encoding="UTF-8")
    return document


def from_xml(message_type: type[_Message], element: etree._Element) -> _Message:
    """Read a message of the given dataclass.

    Raises:
        MalformedMessageError: a required field is missing or has another form; the text names the field only.
    """
    children = {_local_name(child): child for child in element if isinstance(child.tag, str)}
    kind: type = message_type
    return message_type(*(_read_field(field, children.get(field.element)) for field in _fields(kind)))


@dataclass(frozen=True, slots=True)
class _Field:
    """How one field of a message is read: `element` is its name in XML, `item` the type of each of several."""

    message: str
    element: str
    kind: object
    is_optional: bool
    item: type | None

    def __str__(self) -> str:
        return f"{self.message}.{self.element}"


@cache
def _fields(message_type: type) -> tuple[_Field, ...]:
    """Return the fields of a message, worked out from its types once: there are many answers of a few types."""
    hints = typing.get_type_hints(message_type)
    names = [field.name for field in fields(message_type)]
    return tuple(_field(message_type.__name__, name, hints[name]) for name in names)


def _field(message: str, name: str, hint: object) -> _Field:
    kind, is_optional = _without_none(hint)
    item = typing.get_args(kind)[0] if typing.get_origin(kind) is tuple else None
    return _Field(message, _element_name(name), kind, is_optional, item)


def _read_field(field: _Field, child: etree._Element | None) -> object:
    if child is None:
        if field.item is not None:
            return ()
        if field.is_optional:
            return None
        raise MalformedMessageError(f"{field.message} has no {field.element}")
    try:
        if field.item is not None:
            return tuple(_read(field.item, item) for item in _named(child, field.item.__name__))
        return _read(field.kind, child)
    except (ValueError, OverflowError):
        # from None: the original text quotes the value.
        raise MalformedMessageError(f"{field} is malformed") from None


def _named(parent: etree._Element, name: str) -> Iterator[etree._Element]:
    return (item for item in parent if isinstance(item.tag, str) and _local_name(item) == name)


def _local_name(element: etree._Element) -> str:
    # What etree.QName tells, which also checks that it is a name: of what was parsed, it is.
    return str(element.tag).rpartition("}")[2]


def _read(kind: object, element: etree._Element) -> object:
    reader = _READERS.get(kind)
    if reader is None:
        return from_xml(typing.cast("type", kind), element)
    if len(element):
        # `text` ends at the first child: a value must not be cut short by one.
        raise ValueError("not plain text")
    return reader(element.text or "")


def _read_bool(text: str) -> bool:
    try:
        return {"true": True, "1": True, "false": False, "0": False}[text]
    except KeyError:
        raise ValueError("not a boolean") from None


def _read_time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


_READERS: dict[object, Callable[[str], object]] = {
    str: str,
    int: int,
    bool: _read_bool,
    bytes: parse_cid,
    datetime: _read_time,
    UUID: UUID,
}


def _to_element(name: str, value: object) -> etree._Element:
    if is_dataclass(value):
        return to_xml(value, name)
    element = etree.Element(name)
    if isinstance(value, tuple):
        element.extend([to_xml(item) for item in value])
    else:
        element.text = to_text(value)
    return element


def to_text(value: object) -> str:
    """Return a scalar in DICT's notation: UTC with milliseconds, lowercase hexadecimal, `true`, `false`."""
    match value:
        case bool():
            return "true" if value else "false"
        case bytes():
            return value.hex()
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case _:
            return str(value)


def _element_name(field_name: str) -> str:
    return "".join(part.capitalize() for part in field_name.split("_"))


def _without_none(hint: object) -> tuple[object, bool]:
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        rest = [item for item in typing.get_args(hint) if item is not type(None)]
        return rest[0], True
    return hint, False
