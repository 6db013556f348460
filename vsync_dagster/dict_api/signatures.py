"""XML signatures: DICT's requests are signed with ours, and nothing of an answer is used before DICT's own holds.

Source: DICT API 2.12.1, "Assinatura digital", and the client that Bacen publishes, whose shape is the only one written
and the only one read: RSA and SHA-256 over the whole document, enveloped, the certificate named by issuer and serial.
A signature's own KeyInfo chooses among the certificates that were trusted beforehand, and never brings a key along.
"""

import base64
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import xmlsec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from lxml import etree

from vsync_dagster.dict_api.errors import SignatureRefusedError
from vsync_dagster.dict_api.names import ComparableName, comparable, parse_name, to_text

_NAMESPACE = "http://www.w3.org/2000/09/xmldsig#"
_DS = f"{{{_NAMESPACE}}}"
_KEY_INFO_ID = "key-info-id"
_EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
_ENVELOPED = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
_RSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
_SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
_LONGEST_SERIAL = 49  # digits: RFC 5280 has 20 octets


@dataclass(frozen=True, slots=True)
class _Trusted:
    key: xmlsec.Key
    begins_at: datetime
    ends_at: datetime

    @classmethod
    def of(cls, certificate: x509.Certificate) -> "_Trusted":
        pem = certificate.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        key = xmlsec.Key.from_memory(pem, xmlsec.constants.KeyDataFormatPem)
        return cls(key, certificate.not_valid_before_utc, certificate.not_valid_after_utc)


class Signer:
    """Signs documents with one certificate's key, which may be in an HSM.

    Args:
        certificate: ours, which DICT finds by its issuer and serial number.
        key: its key, or what signs bytes with it: RSA PKCS#1 v1.5 with SHA-256 (see `hsm.HsmSigner`).
    """

    def __init__(self, certificate: x509.Certificate, key: RSAPrivateKey | Callable[[bytes], bytes]) -> None:
        self._sign = _with_key(key) if isinstance(key, RSAPrivateKey) else key
        self._issuer, self._serial = to_text(certificate.issuer), str(certificate.serial_number)

    def __call__(self, document: etree._Element) -> etree._Element:
        """Put a signature into a document, as its first child, and return the document.

        Raises:
            VsyncError: what the key raises; the document is as it was.
        """
        # Without the signature: what the enveloped transform leaves.
        whole = _digest(document)
        signature = etree.Element(f"{_DS}Signature", nsmap={"ds": _NAMESPACE})
        signed_info = _add(signature, "SignedInfo")
        value = _add(signature, "SignatureValue")
        key_info = self._add_key_info(signature)
        _add(signed_info, "CanonicalizationMethod", Algorithm=_EXCLUSIVE)
        _add(signed_info, "SignatureMethod", Algorithm=_RSA_SHA256)
        _add_reference(signed_info, f"#{_KEY_INFO_ID}", _digest(key_info), _EXCLUSIVE)
        _add_reference(signed_info, "", whole, _ENVELOPED, _EXCLUSIVE)
        value.text = base64.b64encode(self._sign(_canonical(signed_info))).decode()
        document.insert(0, signature)
        return document

    def _add_key_info(self, signature: etree._Element) -> etree._Element:
        key_info = _add(signature, "KeyInfo", Id=_KEY_INFO_ID)
        issuer_serial = _add(_add(key_info, "X509Data"), "X509IssuerSerial")
        _add(issuer_serial, "X509IssuerName").text = self._issuer
        _add(issuer_serial, "X509SerialNumber").text = self._serial
        return key_info


class Verifier:
    """Accepts documents that one of the trusted certificates has signed as a whole."""

    def __init__(
        self, trusted: Iterable[x509.Certificate], now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._trusted = {(comparable(one.issuer), one.serial_number): _Trusted.of(one) for one in trusted}
        self._now = now

    def __call__(self, document: etree._Element) -> None:
        """Check the signature of a whole document, as it was parsed.

        Raises:
            SignatureRefusedError: there is none, it does not hold, or it is not a trusted certificate's over exactly
                this document.
        """
        signature = _only_signature(document)
        signed_info, _, key_info = _children(signature, "SignedInfo", "SignatureValue", "KeyInfo")
        _check_signed_info(signed_info, key_info)
        issuer, serial = _issuer_serial(key_info)
        trusted = self._trusted.get((issuer, serial))
        if trusted is None:
            raise SignatureRefusedError(
                f"it is by a certificate that is not trusted (serial number {str(serial)[:_LONGEST_SERIAL]});"
                " DICT's own belong into VSYNC_DICT_SIGNING_CERT_FILES"
            )
        if not trusted.begins_at <= self._now() <= trusted.ends_at:
            raise SignatureRefusedError(
                f"it is by a certificate that ended on {trusted.ends_at.date()}, or begins later"
            )
        _check_values(signature, trusted.key)


def _add(parent: etree._Element, name: str, **attributes: str) -> etree._Element:
    return etree.SubElement(parent, _DS + name, attributes)


def _with_key(key: RSAPrivateKey) -> Callable[[bytes], bytes]:
    return lambda data: key.sign(data, PKCS1v15(), SHA256())


def _canonical(element: etree._Element) -> bytes:
    """Return an element's exclusive canonical form, without comments (https://www.w3.org/TR/xml-exc-c14n/)."""
    return etree.tostring(element, method="c14n", exclusive=True, with_comments=False)


def _digest(element: etree._Element) -> str:
    return base64.b64encode(hashlib.sha256(_canonical(element)).digest()).decode()


def _add_reference(signed_info: etree._Element, uri: str, digest: str, *algorithms: str) -> None:
    reference = _add(signed_info, "Reference", URI=uri)
    transforms = _add(reference, "Transforms")
    for algorithm in algorithms:
        _add(transforms, "Transform", Algorithm=algorithm)
    _add(reference, "DigestMethod", Algorithm=_SHA256)
    _add(reference, "DigestValue").text = digest


def _only_signature(document: etree._Element) -> etree._Element:
    if document.getparent() is not None:
        # The reference "" means the whole of what was parsed, not the part at hand.
        raise SignatureRefusedError("it is not that of the whole document")
    signatures = list(document.iter(f"{_DS}Signature"))
    if not signatures:
        raise SignatureRefusedError("there is none")
    if len(signatures) > 1 or signatures[0].getparent() is not document:
        raise SignatureRefusedError("it is not the only one, or not a child of the document's root")
    return signatures[0]


def _check_signed_info(signed_info: etree._Element, key_info: etree._Element) -> None:
    """Refuse what signs anything but the whole document (and its own KeyInfo), or by other means."""
    if [child.tag for child in signed_info[:2]] != [f"{_DS}CanonicalizationMethod", f"{_DS}SignatureMethod"]:
        raise SignatureRefusedError("its SignedInfo has another shape")
    if (_algorithm(signed_info[0]), _algorithm(signed_info[1])) != (_EXCLUSIVE, _RSA_SHA256):
        raise SignatureRefusedError("its algorithms are not those of DICT")
    references = [_reference(reference) for reference in signed_info[2:]]
    whole = ("", (_ENVELOPED, _EXCLUSIVE), _SHA256)
    own_key_info = (f"#{key_info.get('Id')}", (_EXCLUSIVE,), _SHA256)
    if references not in ([own_key_info, whole], [whole, own_key_info], [whole]):
        raise SignatureRefusedError("it is not over the whole document, exactly as it is used")


def _reference(reference: etree._Element) -> tuple[str | None, tuple[str, ...], str]:
    if reference.tag != f"{_DS}Reference":
        raise SignatureRefusedError("its SignedInfo has another shape")
    transforms, method, _ = _children(reference, "Transforms", "DigestMethod", "DigestValue")
    if any(transform.tag != f"{_DS}Transform" for transform in transforms):
        raise SignatureRefusedError("its transforms have another shape")
    return reference.get("URI"), tuple(_algorithm(transform) for transform in transforms), _algorithm(method)


def _algorithm(element: etree._Element) -> str:
    if len(element):
        # Parameters: a shorter hash, further namespaces, an XPath.
        raise SignatureRefusedError("its algorithms are not those of DICT")
    return element.get("Algorithm", "")


def _children(parent: etree._Element, *names: str) -> list[etree._Element]:
    children = list(parent)
    if [child.tag for child in children] != [_DS + name for name in names]:
        raise SignatureRefusedError("it has another shape")
    return children


def _issuer_serial(key_info: etree._Element) -> tuple[ComparableName, int]:
    found = key_info.findall(f"{_DS}X509Data/{_DS}X509IssuerSerial")
    if len(found) != 1:
        raise SignatureRefusedError("it does not name one certificate by issuer and serial number")
    name, number = (child.text or "" for child in _children(found[0], "X509IssuerName", "X509SerialNumber"))
    try:
        return parse_name(name), int(number)
    except ValueError:
        raise SignatureRefusedError("it does not name one certificate by issuer and serial number") from None


def _check_values(signature: etree._Element, key: xmlsec.Key) -> None:
    context = xmlsec.SignatureContext()
    context.key = key
    try:
        context.verify(signature)
    except xmlsec.Error:
        # from None: xmlsec's text can quote what was signed.
        raise SignatureRefusedError("it does not hold") from None
