"""Issuer names, in every notation in which they are met."""

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from vsync_dagster.dict_api.names import comparable, parse_name, to_text

SERPRO = x509.Name(
    [
        x509.NameAttribute(NameOID.COUNTRY_NAME, "BR"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "ICP-Brasil"),
        x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "AC Raiz, v5"),
        x509.NameAttribute(NameOID.EMAIL_ADDRESS, "ac@serpro.example"),
        x509.NameAttribute(NameOID.COMMON_NAME, "AC São João"),
    ]
)


@pytest.mark.parametrize(
    "text",
    [
        r"CN=AC São João,1.2.840.113549.1.9.1=ac@serpro.example,OU=AC Raiz\, v5,O=ICP-Brasil,C=BR",
        r'CN=AC São João, EMAILADDRESS=ac@serpro.example, OU="AC Raiz, v5", O=ICP-Brasil, C=BR',
        r"C=BR, O=ICP-Brasil, OU=AC Raiz\, v5, emailAddress=ac@serpro.example, CN=AC São João",
        r"cn=AC S\C3\A3o Jo\c3\a3o; E=ac@serpro.example ;OU = ac  raiz\2C v5;O=ICP-BRASIL;C=br",
        r"CN=#1e16004100430020005300e3006f0020004a006f00e3006f+E=ac@serpro.example,OU=AC Raiz\, v5,O=ICP-Brasil,C=BR",
        r"CN=AC São João,OID.1.2.840.113549.1.9.1=ac@serpro.example,OU=AC Raiz\, v5,O=#0c0a4943502d42726173696c,C=BR",
    ],
)
def test_a_name_is_the_same_in_every_notation(text: str) -> None:
    assert parse_name(text) == comparable(SERPRO)


def test_a_name_is_written_as_java_does() -> None:
    assert to_text(SERPRO) == (r"CN=AC São João, EMAILADDRESS=ac@serpro.example, OU=AC Raiz\, v5, O=ICP-Brasil, C=BR")


@pytest.mark.parametrize("text", ["CN=AC São João, O=ICP-Brasil, C=BR", "CN=x", to_text(SERPRO) + ", L=Brasília"])
def test_other_names_are_other_names(text: str) -> None:
    assert parse_name(text) != comparable(SERPRO)


@pytest.mark.parametrize(
    "text", ["", " ", "x", "=x", "CN", "CN=x,", "CN=x,,O=y", 'CN="x', "CN=x\\", "XY=z", "CN=#", "CN=#0g", "CN=#0c05ab"]
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever is wrong with it
        parse_name(text)


def test_a_name_without_end_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        parse_name("CN=" + "x" * 3_000)


VALUES = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20).filter(str.strip)
KINDS = st.sampled_from([NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME, NameOID.EMAIL_ADDRESS, NameOID.TITLE])


@given(st.lists(st.tuples(KINDS, VALUES), min_size=1, max_size=4))
def test_every_name_survives_the_round_trip(parts: list[tuple[x509.ObjectIdentifier, str]]) -> None:
    name = x509.Name([x509.NameAttribute(kind, value) for kind, value in parts])

    assert parse_name(to_text(name)) == comparable(name)
    assert parse_name(name.rfc4514_string()) == comparable(name)


@given(st.text(max_size=200))
def test_any_text_is_a_name_or_refused(text: str) -> None:
    try:
        parse_name(text)
    except ValueError:
        return
