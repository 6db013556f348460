"""Signatures: their exact shape, and every forgery that must not pass."""

import copy
import re
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
import xmlsec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from lxml import etree

from vsync_dagster.dict_api.errors import SignatureRefusedError
from vsync_dagster.dict_api.messages import (
    CreateSyncVerificationRequest,
    CreateSyncVerificationResponse,
    Problem,
    SyncVerification,
)
from vsync_dagster.dict_api.signatures import Signer, Verifier
from vsync_dagster.dict_api.xml import from_xml, parse_document, serialize, to_xml
from vsync_dagster.reconcile.errors import RefusedError
from vsync_dagster_tests.signing import Identity, identity

DICT, NEXT, STRANGER = identity("dict"), identity("dict-next"), identity("stranger")
NAMESAKE = identity("dict", "AC Outra")
XMLDSIG = "http://www.w3.org/2000/09/xmldsig#"
DS = f"{{{XMLDSIG}}}"
EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
AT = datetime(2026, 1, 10, 10, 0, 0, tzinfo=UTC)
MESSAGE = CreateSyncVerificationResponse(
    AT, "a9" * 16, SyncVerification("12345678", "CPF", bytes(range(32)), id=7, result="OK")
)

# What Bacen's own client writes, whose shape is documented nowhere else; values and line ends left out.
SHAPE = (
    '<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:SignedInfo>'
    '<ds:CanonicalizationMethod Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/>'
    '<ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"/>'
    '<ds:Reference URI="#key-info-id"><ds:Transforms>'
    '<ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/></ds:Transforms>'
    '<ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><ds:DigestValue/></ds:Reference>'
    '<ds:Reference URI=""><ds:Transforms>'
    '<ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"/>'
    '<ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/></ds:Transforms>'
    '<ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><ds:DigestValue/></ds:Reference>'
    '</ds:SignedInfo><ds:SignatureValue/><ds:KeyInfo Id="key-info-id"><ds:X509Data><ds:X509IssuerSerial>'
    "<ds:X509IssuerName>OU=ICP-Teste, O=AC Teste</ds:X509IssuerName><ds:X509SerialNumber>{serial}"
    "</ds:X509SerialNumber></ds:X509IssuerSerial></ds:X509Data></ds:KeyInfo></ds:Signature>"
)


def signed(by: Identity = DICT, message: object = MESSAGE) -> bytes:
    return serialize(by.sign(to_xml(message)))


def arrives(body: bytes, verify: Verifier = DICT.verify) -> etree._Element:
    """What is used of a document that was sent: the tree that was verified."""
    document = parse_document(body)
    verify(document)
    return document


def refused(body: bytes, why: str, verify: Verifier = DICT.verify) -> None:
    with pytest.raises(SignatureRefusedError, match=why) as error:
        arrives(body, verify)
    assert isinstance(error.value, RefusedError)
    assert "12345678" not in str(error.value)


def resigned(change: Callable[[etree._Element], None], key: xmlsec.Key | None = None) -> bytes:
    """DICT's own answer whose signature was changed in some way and made anew, so that all its values hold."""
    document = DICT.sign(to_xml(MESSAGE))
    signature = document[0]
    change(signature)
    for value in signature.iter(f"{DS}DigestValue", f"{DS}SignatureValue"):
        value.text = None
    pem = DICT.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    context = xmlsec.SignatureContext()
    context.key = key or xmlsec.Key.from_memory(pem, xmlsec.constants.KeyDataFormatPem)
    for element in document.iterfind("*[@Id]"):
        context.register_id(element, "Id")
    context.sign(signature)
    return serialize(document)


def test_a_request_is_signed_exactly_as_bacens_own_client_does() -> None:
    request = CreateSyncVerificationRequest(SyncVerification("12345678", "CPF", bytes(32)))
    document = DICT.sign(to_xml(request))

    signature = document[0]
    for value in signature.iter(f"{DS}DigestValue", f"{DS}SignatureValue"):
        assert value.text
        value.text = None
    assert etree.tostring(signature).decode() == SHAPE.format(serial=DICT.certificate.serial_number)
    assert [child.tag for child in document][1:] == ["SyncVerification"]


def test_what_was_signed_is_accepted_and_read() -> None:
    assert from_xml(CreateSyncVerificationResponse, arrives(signed())) == MESSAGE


def test_problems_are_signed_alike() -> None:
    problem = Problem("Forbidden", 403, "João & Maria", "a9" * 16)

    assert Problem.from_xml(arrives(serialize(DICT.sign(problem.to_xml())))) == problem


def test_certificates_rotate_one_beside_the_other() -> None:
    both = Verifier([DICT.certificate, NEXT.certificate])

    for one in (DICT, NEXT):
        arrives(signed(one), both)


@pytest.mark.parametrize("year", [1999, 3001])
def test_a_certificate_out_of_its_time_is_refused_though_it_is_listed(year: int) -> None:
    refused(signed(), "ended on 3000-01-01", Verifier([DICT.certificate], now=lambda: datetime(year, 1, 1, tzinfo=UTC)))


def test_the_document_alone_may_be_referred_to_and_in_either_order() -> None:
    def without_key_info(signature: etree._Element) -> None:
        signature[0].remove(signature[0][2])

    def swapped(signature: etree._Element) -> None:
        signature[0].append(signature[0][2])

    arrives(resigned(without_key_info))
    arrives(resigned(swapped))


@pytest.mark.parametrize(
    "issuer",
    ["O=AC Teste,OU=ICP-Teste", 'ou = icp-teste ;O="AC  Teste"', "2.5.4.10=#0c0841432054657374" + "65,OU=ICP-Teste"],
)
def test_the_certificate_is_found_however_its_issuer_is_written(issuer: str) -> None:
    def rewritten(signature: etree._Element) -> None:
        name = signature.find(f".//{DS}X509IssuerName")
        assert name is not None
        name.text = issuer

    arrives(resigned(rewritten))


def test_a_comment_is_not_signed_and_does_not_part_what_is() -> None:
    cut = signed().replace(b"a9a9</CorrelationId>", b"<!-- -->a9a9</CorrelationId>")

    assert cut != signed()
    assert from_xml(CreateSyncVerificationResponse, arrives(cut)) == MESSAGE

    problem = serialize(DICT.sign(Problem("NotFoundAtAll", 404, "t").to_xml()))
    assert (
        Problem.from_xml(arrives(problem.replace(b"NotFoundAtAll", b"NotFound<!-- -->AtAll"))).kind == "NotFoundAtAll"
    )


@pytest.mark.parametrize(
    ("honest", "forged"),
    [
        (b"<Result>OK<", b"<Result>NOK<"),
        (b"<Id>7<", b'<Id x="1">7<'),
        (b"</SyncVerification>", b"</SyncVerification><Result>OK</Result>"),
        (b"<SyncVerification>", b'<SyncVerification xmlns="urn:x">'),
        (b"<Result>OK</Result>", b"<Result>OK</Result> "),
        (b"<Id>7</Id><Result>OK</Result>", b"<Result>OK</Result><Id>7</Id>"),
        (b"<ds:DigestValue>", b"<ds:DigestValue>AAAA"),
        (b"<ds:SignatureValue>", b"<ds:SignatureValue>AAAA"),
        (b"<ds:X509Data>", b"<ds:X509Data><ds:X509SubjectName>CN=y</ds:X509SubjectName>"),
        (b"<ResponseTime>", b"<?php x?><ResponseTime>"),
    ],
)
def test_whatever_is_altered_afterwards_is_refused(honest: bytes, forged: bytes) -> None:
    assert honest in signed()
    refused(signed().replace(honest, forged), "it does not hold")


def test_an_unsigned_document_is_refused() -> None:
    refused(serialize(to_xml(MESSAGE)), "there is none")


def test_a_signature_of_another_is_refused_even_if_certified_by_the_same_authority() -> None:
    refused(signed(STRANGER), f"certificate that is not trusted.*{STRANGER.certificate.serial_number}.*VSYNC_DICT_SIGN")
    refused(signed(), "not trusted", Verifier([]))


def test_another_key_under_dicts_issuer_and_serial_is_refused() -> None:
    impostor = Identity(DICT.certificate, STRANGER.key)

    refused(signed(impostor), "it does not hold")


@pytest.mark.parametrize("with_serial", [True, False])
def test_a_serial_or_an_issuer_alone_does_not_make_a_certificate(with_serial: bool) -> None:
    def renamed(signature: etree._Element) -> None:
        issuer, serial = signature.iter(f"{DS}X509IssuerName", f"{DS}X509SerialNumber")
        if with_serial:
            issuer.text = "O=AC Outra, OU=ICP-Teste"
        else:
            serial.text = str(NAMESAKE.certificate.serial_number)

    refused(resigned(renamed), "not trusted")


@pytest.mark.parametrize(
    "material",
    [
        "<X509Certificate>{pem}</X509Certificate>",
        "<X509SubjectName>CN=dict</X509SubjectName><X509Certificate>{pem}</X509Certificate>",
    ],
)
def test_a_certificate_that_comes_along_is_not_used(material: str) -> None:
    """The attacker's own certificate in KeyInfo, beside DICT's issuer and serial number."""
    pem = "".join(STRANGER.certificate.public_bytes(Encoding.PEM).decode().splitlines()[1:-1])

    def with_own_certificate(signature: etree._Element) -> None:
        data = signature.find(f".//{DS}X509Data")
        assert data is not None
        data.extend(etree.fromstring(f'<a xmlns="{XMLDSIG}">{material.format(pem=pem)}</a>'))

    key = STRANGER.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    forged = resigned(with_own_certificate, xmlsec.Key.from_memory(key, xmlsec.constants.KeyDataFormatPem))

    refused(forged, "it does not hold")
    refused(forged.replace(b"X509IssuerSerial>", b"X509Other>"), "does not name one certificate")


def test_a_public_key_is_no_shared_secret() -> None:
    """HMAC with DICT's public key, which everybody knows, as its secret."""

    def hmac(signature: etree._Element) -> None:
        signature[0][1].set("Algorithm", "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256")

    public = DICT.certificate.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    secret = xmlsec.Key.from_binary_data(xmlsec.constants.KeyDataHmac, public)

    refused(resigned(hmac, secret), "algorithms are not those of DICT")


def set_algorithm(path: str, algorithm: str) -> Callable[[etree._Element], None]:
    def change(signature: etree._Element) -> None:
        for element in signature.findall(path, {"ds": XMLDSIG}):
            element.set("Algorithm", algorithm)

    return change


def insert(path: str, xml: str, at: int) -> Callable[[etree._Element], None]:
    def change(signature: etree._Element) -> None:
        parent = signature.find(path, {"ds": XMLDSIG})
        assert parent is not None
        parent.insert(at, etree.fromstring(f'<a xmlns:ds="{XMLDSIG}">{xml}</a>')[0])

    return change


WHOLE = "ds:SignedInfo/ds:Reference[@URI='']"
OTHER_MEANS: dict[str, Callable[[etree._Element], None]] = {
    "SHA-1 in the signature": set_algorithm("ds:SignedInfo/ds:SignatureMethod", f"{XMLDSIG}rsa-sha1"),
    "SHA-512 in the signature": set_algorithm(
        "ds:SignedInfo/ds:SignatureMethod", "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512"
    ),
    "SHA-1 in the digest": set_algorithm(f"{WHOLE}/ds:DigestMethod", f"{XMLDSIG}sha1"),
    "inclusive canonical form": set_algorithm(
        "ds:SignedInfo/ds:CanonicalizationMethod", "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
    ),
    "comments are signed": set_algorithm(f"{WHOLE}/ds:Transforms/ds:Transform[2]", f"{EXCLUSIVE}WithComments"),
    "an XPath transform": insert(
        f"{WHOLE}/ds:Transforms",
        '<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116"><ds:XPath>'
        "not(ancestor-or-self::SyncVerification) and not(ancestor-or-self::ds:Signature)</ds:XPath></ds:Transform>",
        0,
    ),
    "a parameter of the canonical form": insert(
        f"{WHOLE}/ds:Transforms/ds:Transform[2]",
        f'<e:InclusiveNamespaces xmlns:e="{EXCLUSIVE}" PrefixList="x"/>',
        0,
    ),
    "a third transform": insert(f"{WHOLE}/ds:Transforms", f'<ds:Transform Algorithm="{EXCLUSIVE}"/>', 2),
    "an object of its own": insert(".", "<ds:Object>x</ds:Object>", 3),
    "no canonical form": lambda signature: signature[0][3][0].remove(signature[0][3][0][1]),
}


@pytest.mark.parametrize("means", OTHER_MEANS)
def test_other_means_than_dicts_are_refused_though_the_signature_holds(means: str) -> None:
    refused(resigned(OTHER_MEANS[means]), "algorithms are not those of DICT|not over the whole document|another shape")


def test_a_signature_over_one_element_is_not_one_over_the_document() -> None:
    def over_an_element(signature: etree._Element) -> None:
        part = signature.getparent()[3]  # type: ignore[index]
        part.set("Id", "part")
        signature[0][3].set("URI", "#part")

    refused(resigned(over_an_element), "not over the whole document")


def test_a_key_info_alone_is_not_a_document() -> None:
    def only_key_info(signature: etree._Element) -> None:
        signature[0].remove(signature[0][3])

    refused(resigned(only_key_info), "not over the whole document")


def test_a_further_reference_is_refused() -> None:
    def with_a_part(signature: etree._Element) -> None:
        signature[0].append(copy.deepcopy(signature[0][3]))

    refused(resigned(with_a_part), "not over the whole document")


@pytest.mark.parametrize(
    "name",
    [
        "CanonicalizationMethod",
        "SignatureMethod",
        "Reference",
        "Transforms",
        "Transform",
        "DigestMethod",
        "DigestValue",
        "SignatureValue",
        "KeyInfo",
        "X509IssuerName",
    ],
)
def test_an_element_of_another_name_is_not_taken_for_it(name: str) -> None:
    refused(re.sub(rb"ds:%b\b" % name.encode(), b"ds:Other", signed()), "another shape")


def test_two_certificates_are_not_one() -> None:
    def twice(signature: etree._Element) -> None:
        data = signature.find(f".//{DS}X509Data")
        assert data is not None
        data.append(copy.deepcopy(data[0]))

    refused(resigned(twice), "does not name one certificate")


@pytest.mark.parametrize("uri", [None, "#xpointer(/)", "#xpointer(id('key-info-id'))", "http://127.0.0.1:1/"])
def test_no_other_reference_is_followed(uri: str | None) -> None:
    document = DICT.sign(to_xml(MESSAGE))
    reference = document[0][0][3]
    reference.attrib.pop("URI") if uri is None else reference.set("URI", uri)

    refused(serialize(document), "not over the whole document")


def test_a_signed_document_inside_a_forged_one_is_refused() -> None:
    forged = to_xml(MESSAGE)
    forged.append(parse_document(signed()))

    refused(serialize(forged), "not a child of the document's root")


def test_a_signature_moved_to_a_forged_root_is_refused() -> None:
    honest = parse_document(signed())
    forged = to_xml(MESSAGE)
    forged.insert(0, honest[0])
    forged.append(honest)

    refused(serialize(forged), "it does not hold")


def test_a_second_signature_is_refused() -> None:
    document = parse_document(signed())
    document.append(parse_document(signed())[0])

    refused(serialize(document), "not the only one")


def test_a_part_of_a_verified_document_does_not_count_as_verified() -> None:
    inner = parse_document(b"<Outer>" + signed().split(b"\n", 1)[1] + b"</Outer>")[0]

    with pytest.raises(SignatureRefusedError, match="not that of the whole document"):
        DICT.verify(inner)


@pytest.mark.parametrize("attribute", ["xml:id", "Id"])
def test_a_second_element_with_key_infos_id_changes_nothing(attribute: str) -> None:
    refused(
        signed().replace(b"<ResponseTime>", f'<ResponseTime {attribute}="key-info-id">'.encode()), "it does not hold"
    )


@pytest.mark.parametrize("number", ["", "x", "9" * 5_000, "-1"])
def test_a_serial_that_is_none_is_refused(number: str) -> None:
    serial = str(DICT.certificate.serial_number).encode()

    refused(signed().replace(serial, number.encode()), "does not name one certificate|not trusted")


def test_signing_and_verifying_keep_umlauts_and_ampersands() -> None:
    message = Problem("Forbidden", 403, "João & <Filhos> ", "a9" * 16)

    assert Problem.from_xml(arrives(serialize(Signer(DICT.certificate, DICT.key)(message.to_xml())))) == message
