"""Dataclasses to DICT's XML and back.

A message is a dataclass; the field `key_type` is the element `KeyType`. Reading follows DICT's rule for
compatible evolution (OpenAPI, "Evolução"): unknown elements are skipped and order does not matter. The parser
takes no DOCTYPE, no entities and nothing from the network, and a bounded size and depth. It leaves out comments, as
signatures do: what is not signed must not part a text that is.
"""

import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
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
    children = {etree.QName(child).localname: child for child in element if isinstance(child.tag, str)}
    values: dict[str, object] = {}
    kind: type = message_type
    for name, hint in _field_types(kind).items():
        child = children.get(_element_name(name))
        values[name] = _read_field(message_type, name, hint, child)
    return message_type(**values)


def _read_field(message_type: type, name: str, hint: object, child: etree._Element | None) -> object:
    inner, optional = _without_none(hint)
    many = typing.get_origin(inner) is tuple
    if child is None:
        if many:
            return ()
        if optional:
            return None
        raise MalformedMessageError(f"{message_type.__name__} has no {_element_name(name)}")
    try:
        if many:
            item_type = typing.get_args(inner)[0]
            return tuple(_read(item_type, item) for item in _named(child, item_type.__name__))
        return _read(inner, child)
    except (ValueError, OverflowError):
        # from None: the original text quotes the value.
        raise MalformedMessageError(f"{message_type.__name__}.{_element_name(name)} is malformed") from None


def _named(parent: etree._Element, name: str) -> Iterator[etree._Element]:
    return (item for item in parent if isinstance(item.tag, str) and etree.QName(item).localname == name)


def _read(kind: object, element: etree._Element) -> object:
    if is_dataclass(kind) and isinstance(kind, type):
        return from_xml(kind, element)
    if len(element):
        # `text` ends at the first child: a value must not be cut short by one.
        raise ValueError("not plain text")
    return _READERS[kind](element.text or "")


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


@cache
def _field_types(message_type: type) -> dict[str, object]:
    return typing.get_type_hints(message_type)


def _without_none(hint: object) -> tuple[object, bool]:
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        rest = [item for item in typing.get_args(hint) if item is not type(None)]
        return rest[0], True
    return hint, False
