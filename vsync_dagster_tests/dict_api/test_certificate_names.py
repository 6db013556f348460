"""Whose a certificate is, by what its subject and its names say."""

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID, ObjectIdentifier

from vsync_dagster.dict_api.certificates import cnpj_root_of, ispb_of

KEY = ec.generate_private_key(ec.SECP256R1())


def certificate(*, units: tuple[str, ...] = (), name: str = "BANCO EXEMPLO T001", cnpj: str = "") -> x509.Certificate:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit) for unit in units]
    subject = x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2027, 1, 1, tzinfo=UTC))
    )
    if cnpj:
        der = bytes([0x13, len(cnpj)]) + cnpj.encode()
        names = [x509.DNSName("vsync.invalid"), x509.OtherName(ObjectIdentifier("2.16.76.1.3.3"), der)]
        made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return made.sign(KEY, hashes.SHA256())


@pytest.mark.parametrize(
    ("one", "ispb", "root"),
    [
        (certificate(units=("SISBACEN-43011", "ISPB-36266751")), "36266751", None),
        (certificate(units=("ISPB-1A2b3C4d",)), "1A2b3C4d", None),
        (certificate(units=("ISPB-1234567", "ISPB-123456789")), None, None),
        (certificate(name="12345678"), "12345678", None),
        (certificate(name="BANCOABC"), None, None),
        (certificate(cnpj="87654321000199"), None, "87654321"),
        (certificate(cnpj="8765432100019"), None, None),
        (certificate(), None, None),
    ],
    ids=range(8),
)
def test_the_ispb_of_a_certificate(one: x509.Certificate, ispb: str | None, root: str | None) -> None:
    assert (ispb_of(one), cnpj_root_of(one)) == (ispb, root)
