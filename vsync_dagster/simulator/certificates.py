"""Made-up certificates for both sides: of an authority, of the simulated DICT, and of participants.

They are made when first asked for and kept in a folder, as PEM files, since a participant's are configured by file. A
participant's two certificates (for connections and for signatures) carry its ISPB as their common name, which stands
for their registration at DICT.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from lxml import etree

from vsync_dagster.dict_api.errors import SignatureRefusedError
from vsync_dagster.dict_api.signatures import Signer, Verifier
from vsync_dagster.simulator.settings import Signatures

_DICT_HOSTS = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its key, in files."""

    certificate_file: Path
    key_file: Path

    def certificate(self) -> x509.Certificate:
        """Return the certificate."""
        return x509.load_pem_x509_certificate(self.certificate_file.read_bytes())

    def signer(self) -> Signer:
        """Return what signs as this one; its key is RSA."""
        return Signer(self.certificate(), _rsa_key(self.key_file))


class Certificates:
    """The certificates in a folder.

    Args:
        folder: where they are, or are to be.
        server_names: further host names or addresses by which the simulator is reached.

    Attributes:
        authority_file: the authority by which all are certified.
        server: DICT's for connections.
        signing: DICT's for signatures.
    """

    def __init__(self, folder: Path, server_names: Sequence[str] = ()) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self.authority_file = folder / "authority.pem"
        self._authority = self._load_authority()
        self.server = self._issue(
            "-".join(["dict-server", *server_names]), trustme.KeyType.ECDSA, *_DICT_HOSTS, *server_names
        )
        self.signing = self._issue("dict-signing", trustme.KeyType.RSA, "dict")

    def client(self, ispb: str) -> Issued:
        """Return a participant's certificate for connections."""
        return self._issue(f"{ispb}-client", trustme.KeyType.ECDSA, common_name=ispb)

    def participant_signing(self, ispb: str) -> Issued:
        """Return a participant's certificate for signatures."""
        return self._issue(f"{ispb}-signing", trustme.KeyType.RSA, common_name=ispb)

    def impostor(self) -> Signer:
        """Return what signs under DICT's issuer and serial number, with another key."""
        stranger = self._issue("stranger", trustme.KeyType.RSA, common_name="stranger")
        return Signer(self.signing.certificate(), _rsa_key(stranger.key_file))

    def signatures(self) -> Signatures:
        """Return what signs DICT's answers, and verifies that requests are signed by whoever sends them."""
        verifiers: dict[str, Verifier] = {}

        def verify(document: etree._Element, ispb: str | None) -> None:
            if ispb is None:
                raise SignatureRefusedError("nobody's certificate came with the connection")
            if ispb not in verifiers:
                verifiers[ispb] = Verifier([self.participant_signing(ispb).certificate()])
            verifiers[ispb](document)

        return Signatures(self.signing.signer(), self.impostor(), verify)

    def variables(self, ispb: str) -> dict[str, str]:
        """Return the environment variables by which VSYNC speaks as a participant to this DICT."""
        client, signing = self.client(ispb), self.participant_signing(ispb)
        files = {
            "VSYNC_DICT_CLIENT_CERT_FILE": client.certificate_file,
            "VSYNC_DICT_CLIENT_KEY_FILE": client.key_file,
            "VSYNC_DICT_CA_FILE": self.authority_file,
            "VSYNC_SIGNING_CERT_FILE": signing.certificate_file,
            "VSYNC_SIGNING_KEY_FILE": signing.key_file,
            "VSYNC_DICT_SIGNING_CERT_FILES": self.signing.certificate_file,
        }
        return {name: str(path) for name, path in files.items()}

    def _load_authority(self) -> trustme.CA:
        key_file = self._folder / "authority.key"
        if not key_file.exists():
            made = trustme.CA(organization_name="DICT simulator", organization_unit_name="not for production")
            _write(self.authority_file, made.cert_pem.bytes())
            _write(key_file, made.private_key_pem.bytes())
        return trustme.CA.from_pem(self.authority_file.read_bytes(), key_file.read_bytes())

    def _issue(self, name: str, key_type: trustme.KeyType, *hosts: str, common_name: str | None = None) -> Issued:
        issued = Issued(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        if not issued.key_file.exists():
            identities = hosts or (f"{common_name}.invalid",)
            made = self._authority.issue_cert(*identities, common_name=common_name, key_type=key_type)
            _write(issued.certificate_file, b"".join(blob.bytes() for blob in made.cert_chain_pems))
            # Last, so that where a key lies its certificate does too.
            _write(issued.key_file, made.private_key_pem.bytes())
        return issued


def _rsa_key(path: Path) -> rsa.RSAPrivateKey:
    key = load_pem_private_key(path.read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)  # noqa: S101 - so it was made
    return key


def _write(path: Path, content: bytes) -> None:
    """Write a file for its owner alone, at once whole."""
    aside = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    aside.replace(path)
