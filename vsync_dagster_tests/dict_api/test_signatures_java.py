"""Our signatures and those of the JDK's own classes, with which Bacen's client is written, accept one another."""

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from vsync_dagster.dict_api.messages import CreateSyncVerificationRequest, SyncVerification
from vsync_dagster.dict_api.xml import parse_document, serialize, to_xml
from vsync_dagster_tests.signing import identity

JAVA = shutil.which("java")
PROGRAM = Path(__file__).with_name("Signature.java")
US = identity("12345678", "AC João & Filhos")
REQUEST = CreateSyncVerificationRequest(SyncVerification("12345678", "CPF", bytes(range(32))))

pytestmark = pytest.mark.skipif(JAVA is None, reason="no `java` here: what the JDK accepts is not looked at")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    path = tmp_path / "certificate.pem"
    path.write_bytes(US.certificate.public_bytes(Encoding.PEM))
    return path


def run(*arguments: object) -> bytes:
    assert JAVA is not None
    command = [JAVA, "-XX:TieredStopAtLevel=1", str(PROGRAM), *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, timeout=120).stdout


def test_java_accepts_our_signature(certificate: Path, tmp_path: Path) -> None:
    signed = US.sign(to_xml(REQUEST))
    document = tmp_path / "request.xml"
    document.write_bytes(serialize(signed))

    told = run("verify", certificate, document).decode().splitlines()

    assert told == [
        "signature true",
        "certificate true",
        f"issuer as written by Java {signed.findtext('.//{*}X509IssuerName')}",
        "reference '#key-info-id' true",
        "reference '' true",
    ]


def test_java_refuses_what_was_altered(certificate: Path, tmp_path: Path) -> None:
    document = tmp_path / "request.xml"
    document.write_bytes(serialize(US.sign(to_xml(REQUEST))).replace(b"<KeyType>CPF<", b"<KeyType>EVP<"))

    assert b"signature false" in run("verify", certificate, document)


def test_we_accept_javas_signature(certificate: Path, tmp_path: Path) -> None:
    document, key = tmp_path / "request.xml", tmp_path / "key.der"
    document.write_bytes(serialize(to_xml(REQUEST)))
    key.write_bytes(US.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))

    signed = parse_document(run("sign", certificate, key, document))

    assert signed[0].tag == "{http://www.w3.org/2000/09/xmldsig#}Signature"
    US.verify(signed)
