"""What the environment variables say of DICT, read and validated together, before anything is begun.

Everything that makes a call trustworthy is required. `VSYNC_DICT_INSECURE=1` waives it where nobody else listens: on
the loopback interface, for development against a simulator.
"""

import ipaddress
import re
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import SplitResult, urlsplit

from cryptography import x509
from lxml import etree

from vsync_dagster.dict_api.certificates import (
    ConfiguredCertificate,
    KeyPair,
    configured,
    read_certificates,
    read_key_pair,
    readable_by_others,
    rsa_key,
    rsa_public_key,
)
from vsync_dagster.dict_api.cid_file import DEFAULT_PORTS, DownloadRule
from vsync_dagster.dict_api.hsm import HsmSigner
from vsync_dagster.dict_api.pkcs11_uri import KEY as _HSM_KEY
from vsync_dagster.dict_api.pkcs11_uri import PIN_FILE as _PIN_FILE
from vsync_dagster.dict_api.pkcs11_uri import read_pkcs11_uri
from vsync_dagster.dict_api.signatures import Signer, Verifier
from vsync_dagster.reconcile.errors import EnvironmentVariableError

INSECURE = "VSYNC_DICT_INSECURE"
ENVIRONMENT = "VSYNC_DICT_ENVIRONMENT"
_URL, _URL_EXAMPLE = "VSYNC_DICT_URL", "https://host:16522/api/v2/"
_KEYS_CHECK, _KEYS_CHECK_EXAMPLE = "VSYNC_DICT_KEYS_CHECK_URL", "https://host:16532/api-np/v2/"
_BASE, _BASE_EXAMPLE = "VSYNC_DICT_DOWNLOAD_BASE", "https://gateway/arq/"
_HOSTS = "VSYNC_DICT_DOWNLOAD_HOSTS"
_HOST = re.compile(r"[a-z0-9.-]+(:[1-9][0-9]{0,4})?")
_CA = "VSYNC_DICT_CA_FILE"
_CLIENT, _SIGNING = "VSYNC_DICT_CLIENT", "VSYNC_SIGNING"
_TRUSTED = "VSYNC_DICT_SIGNING_CERT_FILES"
_SECRET_FILES = (f"{_CLIENT}_KEY_FILE", f"{_SIGNING}_KEY_FILE", _PIN_FILE)


@dataclass(frozen=True, slots=True)
class DictEnvironment:
    """Where one of the central bank's two DICTs is.

    Attributes:
        url: the API's base URL.
        keys_check_url: the base URL of checkKeys, which has a host and a port of its own.
        file_host: host and port that CID files are downloaded from.
    """

    url: str
    keys_check_url: str
    file_host: str


# URLs: API 2.12.1, `servers` of the API and of checkKeys. The file hosts stand in no document; the central bank's staff
# named them, and a file's URL names its host each time.
ENVIRONMENTS = {
    "production": DictEnvironment(
        "https://dict.pi.rsfn.net.br:16422/api/v2/",
        "https://dict-np.pi.rsfn.net.br:16432/api-np/v2/",
        "arq.pi.rsfn.net.br:1130",
    ),
    "homologation": DictEnvironment(
        "https://dict-h.pi.rsfn.net.br:16522/api/v2/",
        "https://dict-np-h.pi.rsfn.net.br:16532/api-np/v2/",
        "arq-h.pi.rsfn.net.br:1130",
    ),
}


@dataclass(frozen=True, slots=True, repr=False)
class DictSettings:
    """How to reach DICT, and what to show and to demand there.

    Attributes:
        url: the API's base URL, ending in a slash.
        keys_check_url: the base URL of checkKeys, ending in a slash; None where no variable says it.
        ssl_context: TLS 1.2 or newer, with our certificate; None for the defaults, if insecure.
        sign: signs a request document.
        verify: refuses an answer that is not DICT's, by raising.
        downloads: where CID files may come from.
        certificates: all that was configured, for warnings and metrics.
        insecure: whether answers are believed unsigned (`VSYNC_DICT_INSECURE=1`).
        signing_certificate: that of `sign`; None where requests are not signed here.
        warnings: what every run should say of the configuration; each is one line.
    """

    url: str
    keys_check_url: str | None
    ssl_context: ssl.SSLContext | None
    sign: Callable[[etree._Element], etree._Element]
    verify: Callable[[etree._Element], None]
    downloads: DownloadRule
    certificates: tuple[ConfiguredCertificate, ...]
    insecure: bool
    signing_certificate: x509.Certificate | None = None
    warnings: tuple[str, ...] = ()


def read_dict_settings(variables: Mapping[str, str]) -> DictSettings:
    """Read and validate all variables that concern DICT, and the files that they name.

    Raises:
        EnvironmentVariableError: one is missing or malformed, a file cannot be used, or a certificate and a key do not
            belong together; the text names the variable.
    """
    insecure = _is_insecure(variables)
    environment = _environment(variables)
    url = _api_url(variables, environment, insecure)
    keys_check_url = _keys_check_url(variables, environment, insecure)
    downloads = _downloads(variables, url, environment, insecure)
    base_url = _ending_in_slash(url)
    if insecure:
        return DictSettings(base_url, keys_check_url, None, _unsigned, _unverified, downloads, (), insecure=True)
    client = read_key_pair(variables, _CLIENT, "the certificate that is registered at DICT for connections")
    authorities = read_certificates(variables, _CA, "the authorities that DICT's servers are certified by")
    certificate, sign = _signing(variables)
    trusted = read_certificates(variables, _TRUSTED, "the certificates that DICT signs with, parted by commas")
    for one in trusted:
        rsa_public_key(one, _TRUSTED)
    return DictSettings(
        url=base_url,
        keys_check_url=keys_check_url,
        ssl_context=_tls(client, variables[_CA]),
        sign=sign,
        verify=Verifier(trusted),
        downloads=downloads,
        certificates=(
            *configured(f"{_CLIENT}_CERT_FILE", [client.certificate]),
            *configured(_CA, authorities),
            *configured(f"{_SIGNING}_CERT_FILE", [certificate]),
            *configured(_TRUSTED, trusted),
        ),
        insecure=False,
        signing_certificate=certificate,
        warnings=tuple(
            f"the file of {name} can be read by every user of this machine: run chmod 600"
            for name in readable_by_others(variables, _SECRET_FILES)
        ),
    )


def check_signing(settings: DictSettings) -> bool:
    """Sign a document with our key, wherever it lies, and verify it with our certificate; asks nothing of DICT.

    Returns False where there is nothing to check, because requests are not signed here.

    Raises:
        VsyncError: the key cannot be used, or is not the certificate's; see `HsmSigner`.
    """
    if settings.signing_certificate is None:
        return False
    document = settings.sign(etree.Element("SignatureCheck"))
    Verifier([settings.signing_certificate])(document)
    return True


def _signing(variables: Mapping[str, str]) -> tuple[x509.Certificate, Signer]:
    """Return our certificate for signatures, and what signs with its key: in a file or in a PKCS#11 token."""
    what = "the certificate that is registered at DICT for signatures"
    if not variables.get(_HSM_KEY, "").strip():
        pair = read_key_pair(variables, _SIGNING, what)
        return pair.certificate, Signer(pair.certificate, rsa_key(pair, _SIGNING))
    if variables.get(f"{_SIGNING}_KEY_FILE", "").strip():
        raise EnvironmentVariableError(f"{_HSM_KEY} and {_SIGNING}_KEY_FILE are both set; unset the one not in use")
    certificate = read_certificates(variables, f"{_SIGNING}_CERT_FILE", what)[0]
    public_key = rsa_public_key(certificate, f"{_SIGNING}_CERT_FILE")
    return certificate, Signer(certificate, HsmSigner(read_pkcs11_uri(variables), public_key))


def certificate_days_left(variables: Mapping[str, str], now: datetime) -> dict[str, float]:
    """Return, by variable, the days until the first of its certificates ends; negative after its end.

    Needs no keys, and leaves out what is not set or cannot be read: for metrics, which must not fail over it. Of a file
    with our own certificate only the first one counts; those after it are its authorities.
    """
    days: dict[str, float] = {}
    for name in (f"{_CLIENT}_CERT_FILE", f"{_SIGNING}_CERT_FILE", _CA, _TRUSTED):
        with suppress(EnvironmentVariableError):
            found = read_certificates(variables, name, "certificates")
            counted = found if name in (_CA, _TRUSTED) else found[:1]
            days[name] = min(one.days_left(now) for one in configured(name, counted))
    return days


def _is_insecure(variables: Mapping[str, str]) -> bool:
    value = variables.get(INSECURE, "")
    if value not in ("", "0", "1"):
        raise EnvironmentVariableError(f"{INSECURE} is malformed; it is 1, or not set")
    return value == "1"


def _environment(variables: Mapping[str, str]) -> DictEnvironment | None:
    value = variables.get(ENVIRONMENT, "").strip()
    if value and value not in ENVIRONMENTS:
        raise EnvironmentVariableError(f"{ENVIRONMENT} is malformed; it is {' or '.join(ENVIRONMENTS)}")
    return ENVIRONMENTS.get(value)


def _api_url(variables: Mapping[str, str], environment: DictEnvironment | None, insecure: bool) -> SplitResult:
    value = variables.get(_URL, "").strip()
    if value:
        return _parsed(_URL, value, _URL_EXAMPLE, insecure)
    if environment is None:
        raise EnvironmentVariableError(
            f"{_URL} is not set; set it, for example, to {_URL_EXAMPLE}, or set {ENVIRONMENT} to"
            f" {' or '.join(ENVIRONMENTS)}"
        )
    return _parsed(ENVIRONMENT, environment.url, _URL_EXAMPLE, insecure)


def _keys_check_url(variables: Mapping[str, str], environment: DictEnvironment | None, insecure: bool) -> str | None:
    value = variables.get(_KEYS_CHECK, "").strip()
    if value:
        return _ending_in_slash(_parsed(_KEYS_CHECK, value, _KEYS_CHECK_EXAMPLE, insecure))
    return environment.keys_check_url if environment else None


def _ending_in_slash(url: SplitResult) -> str:
    return url.geturl().rstrip("/") + "/"


def _parsed(name: str, value: str, example: str, insecure: bool) -> SplitResult:
    """Return a variable's URL: https, or if insecure anything on this machine. It is not quoted: it can be secret."""
    try:
        url = urlsplit(value)
        host, _ = url.hostname, url.port
    except ValueError:
        url, host = urlsplit(""), None
    if url.scheme not in ("https", "http") or not host or url.query or url.fragment:
        raise EnvironmentVariableError(f"{name} is malformed; it looks like {example}")
    if insecure and not _is_loopback(host):
        raise EnvironmentVariableError(f"{INSECURE} is for a DICT on this machine only, and {name} is elsewhere")
    if not insecure and url.scheme != "https":
        raise EnvironmentVariableError(f"{name} must be https; it looks like {example}")
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _downloads(
    variables: Mapping[str, str], url: SplitResult, environment: DictEnvironment | None, insecure: bool
) -> DownloadRule:
    """Return where CID files may come from.

    By default: the base, if one is set; the environment's file host and port; else the host of `VSYNC_DICT_URL`, on any
    port, since nothing says which one its files have.
    """
    base_value = variables.get(_BASE, "").strip()
    base = _parsed(_BASE, base_value, _BASE_EXAMPLE, insecure) if base_value else None
    given = {host.strip().lower() for host in variables.get(_HOSTS, "").split(",")} - {""}
    if not all(_HOST.fullmatch(host) for host in given):
        raise EnvironmentVariableError(
            f"{_HOSTS} is malformed; it is host names separated by commas, each with or without a port, such as"
            f" {ENVIRONMENTS['homologation'].file_host}"
        )
    if insecure and not all(_is_loopback(host.partition(":")[0]) for host in given):
        raise EnvironmentVariableError(f"{INSECURE} is for a DICT on this machine only, and {_HOSTS} is elsewhere")
    return DownloadRule(
        hosts=frozenset(given or {_default_file_host(base, url, environment)}),
        base=base.geturl() if base else None,
        plain_http=insecure,
    )


def _default_file_host(base: SplitResult | None, url: SplitResult, environment: DictEnvironment | None) -> str:
    if base:
        return f"{base.hostname}:{base.port or DEFAULT_PORTS[base.scheme]}"
    return environment.file_host if environment else str(url.hostname)


def _tls(client: KeyPair, ca_files: str) -> ssl.SSLContext:
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        for path in ca_files.split(","):
            context.load_verify_locations(path.strip())
        context.load_cert_chain(client.certificate_file, client.key_file, client.password)
    except (ssl.SSLError, OSError):
        # All were read just now: what is left are keys too short for OpenSSL's security level, and the like.
        raise EnvironmentVariableError(f"{_CLIENT}_CERT_FILE or {_CA} is not accepted by OpenSSL") from None
    return context


def _unsigned(document: etree._Element) -> etree._Element:
    return document


def _unverified(document: etree._Element) -> None:
    del document
