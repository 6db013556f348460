"""Keys and certificates of tests, each made once: making an RSA key takes a tenth of a second."""

from dataclasses import dataclass
from functools import cache

import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from vsync_dagster.dict_api.signatures import Signer, Verifier


@dataclass(frozen=True)
class Identity:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey

    @property
    def sign(self) -> Signer:
        """Signs as this one."""
        return Signer(self.certificate, self.key)

    @property
    def verify(self) -> Verifier:
        """Trusts this one alone."""
        return Verifier([self.certificate])


@cache
def authority(name: str = "AC Teste") -> trustme.CA:
    """A certificate authority."""
    return trustme.CA(organization_name=name, organization_unit_name="ICP-Teste")


@cache
def identity(name: str, authority_name: str = "AC Teste") -> Identity:
    """Whoever is called so, certified by an authority."""
    issued = authority(authority_name).issue_cert(name, common_name=name, key_type=trustme.KeyType.RSA)
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return Identity(x509.load_pem_x509_certificate(issued.cert_chain_pems[0].bytes()), key)
