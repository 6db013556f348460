"""Certificates and keys in PEM files, as the environment variables name them, and how long they still last.

An error names the variable and never the file, its content or a password.
"""

import re
import ssl
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import NameOID, ObjectIdentifier

from vsync_dagster.reconcile.errors import EnvironmentVariableError


class CertificateExpiredError(EnvironmentVariableError):
    """No certificate of a variable is valid now; the text names the variable."""


RENEW_WITHIN = timedelta(days=30)
_CNPJ = ObjectIdentifier("2.16.76.1.3.3")
_SHORTEST_RSA_KEY = 2_048


@dataclass(frozen=True, slots=True)
class ConfiguredCertificate:
    """A certificate that an environment variable names, and when it begins and ends."""

    variable: str
    serial_number: int
    begins_at: datetime
    ends_at: datetime

    def is_valid(self, now: datetime) -> bool:
        """Tell whether it has begun and not ended."""
        return self.begins_at <= now <= self.ends_at

    def days_left(self, now: datetime) -> float:
        """Return how many days it still lasts; negative after its end."""
        return (self.ends_at - now) / timedelta(days=1)


@dataclass(frozen=True, slots=True, repr=False)
class KeyPair:
    """A certificate, where it and its key lie, and the key's password if it has one."""

    certificate: x509.Certificate
    key: PrivateKeyTypes
    certificate_file: Path
    key_file: Path
    password: bytes | None


def ending_soon(certificates: Iterable[ConfiguredCertificate], now: datetime) -> list[ConfiguredCertificate]:
    """Return those that end within 30 days, or have ended."""
    return [one for one in certificates if one.ends_at - now < RENEW_WITHIN]


def configured(variable: str, certificates: Iterable[x509.Certificate]) -> list[ConfiguredCertificate]:
    """Return what is to be known of the certificates that a variable names."""
    return [
        ConfiguredCertificate(variable, one.serial_number, one.not_valid_before_utc, one.not_valid_after_utc)
        for one in certificates
    ]


def check_dates(certificates: Iterable[ConfiguredCertificate], now: datetime) -> None:
    """Check that of each variable at least one certificate is valid now: DICT's may overlap, of ours there is one.

    Raises:
        CertificateExpiredError: none is. TLS itself would only say, after the last attempt, that a connection was lost.
    """
    by_variable: dict[str, list[ConfiguredCertificate]] = {}
    for one in certificates:
        by_variable.setdefault(one.variable, []).append(one)
    for variable, held in by_variable.items():
        if any(one.is_valid(now) for one in held):
            continue
        last = max(held, key=lambda one: one.ends_at)
        when = f"ended on {last.ends_at:%Y-%m-%d}" if last.ends_at < now else f"begins on {last.begins_at:%Y-%m-%d}"
        raise CertificateExpiredError(f"the certificate of {variable} {when}: put a valid one in its place")


def ispb_of(certificate: x509.Certificate) -> str | None:
    """Return the ISPB that a certificate's subject names, None where it names none.

    That is `OU=ISPB-NNNNNNNN`, as requests for certificates of the SPB have it, or a common name of eight digits, as
    the simulator's certificates have it.
    """
    units = [str(each.value) for each in certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)]
    names = [str(each.value) for each in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    in_units = [found[1] for unit in units if (found := re.fullmatch("ISPB-([0-9A-Za-z]{8})", unit))]
    return next(iter([*in_units, *(name for name in names if re.fullmatch("[0-9]{8}", name))]), None)


def cnpj_root_of(certificate: x509.Certificate) -> str | None:
    """Return the first eight characters of the holder's CNPJ, which are its ISPB, None where there is no CNPJ.

    It is in ICP-Brasil's otherName 2.16.76.1.3.3. The holder need not be the participant.
    """
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
    for one in names.get_values_for_type(x509.OtherName):
        # DER of a string: its tag, its length (below 128), its content.
        text = one.value[2:].decode("latin-1")
        if one.type_id == _CNPJ and re.fullmatch("[0-9A-Z]{12}[0-9]{2}", text):
            return text[:8]
    return None


def read_certificates(variables: Mapping[str, str], name: str, what: str) -> list[x509.Certificate]:
    """Read all certificates of the files, one or several and parted by commas, that a variable names.

    Raises:
        EnvironmentVariableError: it is not set, or a file of it holds no certificate.
    """
    paths = [Path(path.strip()) for path in _value(variables, name, what).split(",") if path.strip()]
    try:
        return [one for path in paths for one in x509.load_pem_x509_certificates(_read(path, name))]
    except ValueError:
        raise EnvironmentVariableError(f"{name} names a file without a certificate in PEM form") from None


def read_key_pair(variables: Mapping[str, str], prefix: str, what: str) -> KeyPair:
    """Read a certificate and its key: `<prefix>_CERT_FILE`, `<prefix>_KEY_FILE` and `<prefix>_KEY_PASSWORD`.

    Raises:
        EnvironmentVariableError: one is missing or cannot be read, the password is wrong, or the two do not belong
            together.
    """
    name, key_name = f"{prefix}_CERT_FILE", f"{prefix}_KEY_FILE"
    certificate = read_certificates(variables, name, what)[0]
    key_file = Path(_value(variables, key_name, f"its key, beside {name}"))
    key, password = _read_key(_read(key_file, key_name), key_name, variables.get(f"{prefix}_KEY_PASSWORD") or None)
    if _public_bytes(key) != _public_bytes(certificate):
        raise EnvironmentVariableError(f"{key_name} is the key of another certificate than that of {name}")
    return KeyPair(certificate, key, Path(variables[name].strip()), key_file, password)


def rsa_key(pair: KeyPair, prefix: str) -> RSAPrivateKey:
    """Return a pair's key if it can make DICT's signatures.

    Raises:
        EnvironmentVariableError: it cannot.
    """
    if not isinstance(pair.key, RSAPrivateKey) or pair.key.key_size < _SHORTEST_RSA_KEY:
        raise EnvironmentVariableError(f"{prefix}_KEY_FILE is not an RSA key of {_SHORTEST_RSA_KEY} bits or more")
    return pair.key


def rsa_public_key(certificate: x509.Certificate, name: str) -> RSAPublicKey:
    """Return the key of a certificate that signs for us or for DICT.

    Raises:
        EnvironmentVariableError: it is not RSA, or short enough to be broken.
    """
    key = certificate.public_key()
    if not isinstance(key, RSAPublicKey) or key.key_size < _SHORTEST_RSA_KEY:
        raise EnvironmentVariableError(
            f"{name} names a certificate (serial number {certificate.serial_number:x}) without an RSA key of"
            f" {_SHORTEST_RSA_KEY} bits or more"
        )
    return key


def readable_by_others(variables: Mapping[str, str], names: Iterable[str]) -> list[str]:
    """Return, of variables that name a file with a secret, those whose file every user of the machine can read."""
    return [name for name in names if _is_readable_by_others(variables.get(name, "").strip())]


def tls_context(ca_files: str, client: KeyPair | None, names: str) -> ssl.SSLContext:
    """Return what trusts the authorities of files, and no others, and shows our certificate; TLS 1.2 or newer.

    Raises:
        EnvironmentVariableError: OpenSSL does not accept a file; the text says `names`.
    """
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        for path in ca_files.split(","):
            context.load_verify_locations(path.strip())
        if client:
            context.load_cert_chain(client.certificate_file, client.key_file, client.password)
    except (ssl.SSLError, OSError):
        # All were read just now: what is left are keys too short for OpenSSL's security level, and the like.
        raise EnvironmentVariableError(f"{names} is not accepted by OpenSSL") from None
    return context


def _is_readable_by_others(path: str) -> bool:
    try:
        return bool(path) and bool(Path(path).stat().st_mode & stat.S_IROTH)
    except (OSError, ValueError):
        return False


def _value(variables: Mapping[str, str], name: str, what: str) -> str:
    value = variables.get(name, "").strip()
    if not value:
        raise EnvironmentVariableError(f"{name} is not set; set it to the PEM file of {what}")
    return value


def _read(path: Path, name: str) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no path"
        raise EnvironmentVariableError(f"{name} names a file that cannot be read: {why}") from None


def _read_key(pem: bytes, name: str, password: str | None) -> tuple[PrivateKeyTypes, bytes | None]:
    password_name = name.replace("_FILE", "_PASSWORD")
    if b"ENCRYPTED" not in pem:
        # A password that is not needed any more does no harm.
        return _load_key(pem, None, f"{name} names a file without a private key in PEM form"), None
    if password is None:
        raise EnvironmentVariableError(f"{password_name} is not set, and the key of {name} is encrypted")
    secret = password.encode()
    return _load_key(pem, secret, f"{password_name} does not open the key of {name}"), secret


def _load_key(pem: bytes, password: bytes | None, otherwise: str) -> PrivateKeyTypes:
    try:
        return load_pem_private_key(pem, password)
    except (ValueError, TypeError):
        raise EnvironmentVariableError(otherwise) from None


def _public_bytes(holder: x509.Certificate | PrivateKeyTypes) -> bytes:
    return holder.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
