"""X.509 names as text, read in every notation in which they are met.

RFC 4514 (`CN=x,O=y`), Java's own (`CN=x, O="y, z"`, `EMAILADDRESS=…`, `OID.1.2.3=…`) and values in hexadecimal
(`#0c0179`) are the same name; so are both orders of its parts, since OpenSSL prints them the other way round than Java.
"""

import re
from functools import lru_cache
from typing import TypeAlias

from cryptography import x509
from cryptography.x509.oid import NameOID

ComparableName: TypeAlias = tuple[tuple[str, str], ...]

_LONGEST_NAME = 2_048
# The nine of RFC 4514 and those that Java adds (sun.security.x509.AVAKeyword); of several, the first is written.
_KEYWORDS = {
    "CN": NameOID.COMMON_NAME,
    "L": NameOID.LOCALITY_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "C": NameOID.COUNTRY_NAME,
    "STREET": NameOID.STREET_ADDRESS,
    "DC": NameOID.DOMAIN_COMPONENT,
    "UID": NameOID.USER_ID,
    "S": NameOID.STATE_OR_PROVINCE_NAME,
    "T": NameOID.TITLE,
    "TITLE": NameOID.TITLE,
    "DNQUALIFIER": NameOID.DN_QUALIFIER,
    "DNQ": NameOID.DN_QUALIFIER,
    "SURNAME": NameOID.SURNAME,
    "GIVENNAME": NameOID.GIVEN_NAME,
    "INITIALS": NameOID.INITIALS,
    "GENERATION": NameOID.GENERATION_QUALIFIER,
    "EMAILADDRESS": NameOID.EMAIL_ADDRESS,
    "EMAIL": NameOID.EMAIL_ADDRESS,
    "E": NameOID.EMAIL_ADDRESS,
    "SERIALNUMBER": NameOID.SERIAL_NUMBER,
    "ORGANIZATIONIDENTIFIER": NameOID.ORGANIZATION_IDENTIFIER,
}
_PART = re.compile(
    r"""\s*+(?:OID\.)?(?P<type>[a-z][a-z0-9-]*+|[0-9]++(?:\.[0-9]++)++)\s*+=\s*+
    (?:"(?P<quoted>(?:[^"\\]|\\.)*+)"\s*+|(?P<plain>(?:[^,;+"\\]|\\.)*+))(?:[,;+](?=.)|$)""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_ESCAPED = re.compile(rb"\\([0-9A-Fa-f]{2})|\\(.)", re.DOTALL)
_UTF_16_TAG = 0x1E  # BMPString; the other string types are read as UTF-8


def comparable(name: x509.Name) -> ComparableName:
    """Return a certificate's name in a form that is equal for equal names."""
    return tuple(sorted((part.oid.dotted_string, _folded(str(part.value))) for part in name))


@lru_cache(maxsize=64)
def parse_name(text: str) -> ComparableName:
    """Return a name that was written as text in the form of `comparable`.

    Raises:
        ValueError: it is not a name, or longer than names are.
    """
    if len(text) > _LONGEST_NAME:
        raise ValueError("too long")
    parts: list[tuple[str, str]] = []
    at = 0
    while at < len(text) or not parts:
        found = _PART.match(text, at)
        if found is None:
            raise ValueError("not an X.509 name")
        parts.append((_oid(found["type"]), _folded(_value(found["quoted"], found["plain"]))))
        at = found.end()
    return tuple(sorted(parts))


def to_text(name: x509.Name) -> str:
    """Write a name as Java's `X500Name.toString` does, which is what Bacen's own client puts into its signatures."""
    keywords = {oid: keyword for keyword, oid in reversed(_KEYWORDS.items())}
    return ", ".join(part.rfc4514_string(keywords) for part in reversed(name.rdns))


def _oid(keyword: str) -> str:
    if keyword[0].isdigit():
        return keyword
    try:
        return _KEYWORDS[keyword.upper()].dotted_string
    except KeyError:
        raise ValueError("an unknown part of a name") from None


def _value(quoted: str | None, plain: str) -> str:
    if quoted is None and plain.startswith("#"):
        der = bytes.fromhex(plain[1:])
        if len(der) < 2 or len(der) != 2 + der[1]:
            raise ValueError("a part of a name is not a short DER string")
        return der[2:].decode("utf-16-be" if der[0] == _UTF_16_TAG else "utf-8")
    written = (plain if quoted is None else quoted).encode()
    return _ESCAPED.sub(lambda pair: bytes.fromhex(pair[1].decode()) if pair[1] else pair[2], written).decode()


def _folded(value: str) -> str:
    """Leave out what X.509 does not compare: case, and how much white space there is (RFC 5280, 7.1)."""
    return " ".join(value.split()).casefold()
