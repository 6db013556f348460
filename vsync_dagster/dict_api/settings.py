"""What the environment variables say of DICT, read and validated together, before anything is begun.

Everything that makes a call trustworthy is required. `VSYNC_DICT_INSECURE=1` waives it where nobody else listens: on
the loopback interface, for development against a simulator.
"""

import re
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import SplitResult

from cryptography import x509
from lxml import etree

from vsync_dagster.dict_api import gateway as gateways
from vsync_dagster.dict_api.certificates import (
    ConfiguredCertificate,
    configured,
    read_certificates,
    read_key_pair,
    readable_by_others,
    rsa_key,
    rsa_public_key,
    tls_context,
)
from vsync_dagster.dict_api.cid_file import DEFAULT_PORTS, DownloadRule
from vsync_dagster.dict_api.hsm import HsmSigner
from vsync_dagster.dict_api.pkcs11_uri import KEY as _HSM_KEY
from vsync_dagster.dict_api.pkcs11_uri import PIN_FILE as _PIN_FILE
from vsync_dagster.dict_api.pkcs11_uri import read_pkcs11_uri
from vsync_dagster.dict_api.signatures import Signer, Verifier
from vsync_dagster.dict_api.urls import ending_in_slash, is_loopback, parsed_url, tls_or_local_url
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
_OWN_CERTIFICATES = (f"{_CLIENT}_CERT_FILE", f"{gateways.CLIENT}_CERT_FILE", f"{_SIGNING}_CERT_FILE")
_OTHERS_CERTIFICATES = (_CA, gateways.CA, _TRUSTED)
_SECRET_FILES = (f"{_CLIENT}_KEY_FILE", f"{gateways.CLIENT}_KEY_FILE", f"{_SIGNING}_KEY_FILE", _PIN_FILE)


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
        host: the `Host` of calls and downloads is DICT's, not the gateway's; None for that of the URL.
        unverified: why answers are believed without DICT's signature; None where they must carry it.
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
    host: str | None = None
    unverified: str | None = None


def read_dict_settings(variables: Mapping[str, str]) -> DictSettings:
    """Read and validate all variables that concern DICT, and the files that they name.

    Raises:
        EnvironmentVariableError: one is missing or malformed, a file cannot be used, or a certificate and a key do not
            belong together; the text names the variable.
    """
    gateway = gateways.read_gateway(variables)
    if gateway:
        return _through(gateway, variables)
    insecure = _is_insecure(variables)
    environment = _environment(variables)
    url = _api_url(variables, environment, insecure)
    keys_check_url = _keys_check_url(variables, environment, insecure)
    downloads = _downloads(variables, url, environment, insecure)
    base_url = ending_in_slash(url)
    if insecure:
        return DictSettings(
            base_url,
            keys_check_url,
            None,
            _unsigned,
            _unverified,
            downloads,
            (),
            insecure=True,
            unverified=why_unverified(variables),
        )
    client = read_key_pair(variables, _CLIENT, "the certificate that is registered at DICT for connections")
    authorities = read_certificates(variables, _CA, "the authorities that DICT's servers are certified by")
    certificate, sign = _signing(variables)
    trusted = _trusted(variables)
    return DictSettings(
        url=base_url,
        keys_check_url=keys_check_url,
        ssl_context=tls_context(variables[_CA], client, f"{_CLIENT}_CERT_FILE or {_CA}"),
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
        warnings=_warnings(variables),
    )


def why_unverified(variables: Mapping[str, str]) -> str | None:
    """Return why DICT's answers are believed without its signature, for reports; None where they must carry it.

    Raises:
        EnvironmentVariableError: a variable that says so is malformed.
    """
    if gateways.answers_are_vouched(variables):
        return "DICT's signatures were not verified: the gateway vouches for the answers"
    if _is_insecure(variables):
        return f"DICT's signatures were not verified: {INSECURE}=1"
    return None


def _through(gateway: gateways.Gateway, variables: Mapping[str, str]) -> DictSettings:
    """Return settings for a gateway: keys that are not named here are the gateway's."""
    signs_here = any(variables.get(name, "").strip() for name in (_HSM_KEY, f"{_SIGNING}_KEY_FILE"))
    certificate, sign = _signing(variables) if signs_here else (None, _unsigned)
    trusted = [] if gateway.vouches else _trusted(variables)
    base = variables.get(_BASE, "").strip() or f"{gateway.url.scheme}://{gateway.url.netloc}/"
    downloads = _download_rule(variables, tls_or_local_url(_BASE, base, _BASE_EXAMPLE), None)
    return DictSettings(
        url=ending_in_slash(gateway.url),
        keys_check_url=_keys_check_url(variables, None, insecure=False),
        ssl_context=gateway.ssl_context,
        sign=sign,
        verify=_unverified if gateway.vouches else Verifier(trusted),
        downloads=replace(downloads, keeps_host=gateway.host is not None),
        certificates=(
            *gateway.certificates,
            *configured(f"{_SIGNING}_CERT_FILE", [certificate] if certificate else []),
            *configured(_TRUSTED, trusted),
        ),
        insecure=False,
        signing_certificate=certificate,
        warnings=_warnings(variables),
        host=gateway.host,
        unverified=why_unverified(variables),
    )


def _trusted(variables: Mapping[str, str]) -> list[x509.Certificate]:
    trusted = read_certificates(variables, _TRUSTED, "the certificates that DICT signs with, parted by commas")
    for one in trusted:
        rsa_public_key(one, _TRUSTED)
    return trusted


def _warnings(variables: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(
        f"the file of {name} can be read by every user of this machine: run chmod 600"
        for name in readable_by_others(variables, _SECRET_FILES)
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
    for name in (*_OWN_CERTIFICATES, *_OTHERS_CERTIFICATES):
        with suppress(EnvironmentVariableError):
            found = read_certificates(variables, name, "certificates")
            counted = found if name in _OTHERS_CERTIFICATES else found[:1]
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
        return ending_in_slash(_parsed(_KEYS_CHECK, value, _KEYS_CHECK_EXAMPLE, insecure))
    return environment.keys_check_url if environment else None


def _parsed(name: str, value: str, example: str, insecure: bool) -> SplitResult:
    """Return a variable's URL: https, or if insecure anything on this machine. It is not quoted: it can be secret."""
    url = parsed_url(name, value, example)
    if insecure and not is_loopback(str(url.hostname)):
        raise EnvironmentVariableError(f"{INSECURE} is for a DICT on this machine only, and {name} is elsewhere")
    if not insecure and url.scheme != "https":
        raise EnvironmentVariableError(f"{name} must be https; it looks like {example}")
    return url


def _downloads(
    variables: Mapping[str, str], url: SplitResult, environment: DictEnvironment | None, insecure: bool
) -> DownloadRule:
    """Return where CID files may come from.

    By default: the base, if one is set; the environment's file host and port; else the host of `VSYNC_DICT_URL`, on any
    port, since nothing says which one its files have.
    """
    base_value = variables.get(_BASE, "").strip()
    base = _parsed(_BASE, base_value, _BASE_EXAMPLE, insecure) if base_value else None
    rule = _download_rule(variables, base, environment.file_host if environment else str(url.hostname))
    if insecure and variables.get(_HOSTS) and not all(is_loopback(host.partition(":")[0]) for host in rule.hosts):
        raise EnvironmentVariableError(f"{INSECURE} is for a DICT on this machine only, and {_HOSTS} is elsewhere")
    return replace(rule, plain_http=insecure)


def _download_rule(variables: Mapping[str, str], base: SplitResult | None, file_host: str | None) -> DownloadRule:
    """Return where CID files may come from: where `VSYNC_DICT_DOWNLOAD_HOSTS` says, or the base, or `file_host`."""
    if base:
        file_host = f"{base.hostname}:{base.port or DEFAULT_PORTS[base.scheme]}"
    given = {host.strip().lower() for host in variables.get(_HOSTS, "").split(",")} - {""}
    if not all(_HOST.fullmatch(host) for host in given):
        raise EnvironmentVariableError(
            f"{_HOSTS} is malformed; it is host names separated by commas, each with or without a port, such as"
            f" {ENVIRONMENTS['homologation'].file_host}"
        )
    return DownloadRule(
        hosts=frozenset(given or {str(file_host)}),
        base=base.geturl() if base else None,
        # Without TLS only where nobody else listens: what is downloaded is held against DICT's SHA-256 in any case.
        plain_http=base is not None and base.scheme == "http",
    )


def _unsigned(document: etree._Element) -> etree._Element:
    return document


def _unverified(document: etree._Element) -> None:
    del document
