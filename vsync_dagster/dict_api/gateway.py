"""A gateway between us and DICT: a proxy of the participant's own, which holds keys and speaks to DICT in its name.

Where one is set, all calls and downloads go to it. Its TLS certificate is by an authority of its own: neither DICT's
authorities nor the system's are trusted for it.
"""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult

from vsync_dagster.dict_api.certificates import (
    ConfiguredCertificate,
    KeyPair,
    configured,
    read_certificates,
    read_key_pair,
    tls_context,
)
from vsync_dagster.dict_api.urls import tls_or_local_url
from vsync_dagster.reconcile.errors import EnvironmentVariableError

GATEWAY, _EXAMPLE = "VSYNC_DICT_GATEWAY", "https://gateway:8443/api/v2/"
CA = "VSYNC_DICT_GATEWAY_CA_FILE"
CLIENT = "VSYNC_DICT_GATEWAY_CLIENT"
_ANSWERS = "VSYNC_DICT_GATEWAY_ANSWERS"
_HOST = "VSYNC_DICT_GATEWAY_HOST"
_ALONE = ("VSYNC_DICT_URL", "VSYNC_DICT_INSECURE")


@dataclass(frozen=True, slots=True, repr=False)
class Gateway:
    """How to reach a gateway, and how far it is believed.

    Attributes:
        url: its base URL for DICT's API.
        ssl_context: trusts its authority; None for plain http to this machine.
        vouches: whether it says for DICT's answers that they are DICT's (`VSYNC_DICT_GATEWAY_ANSWERS=vouched`). If
            not, each answer must carry DICT's signature.
        host: the `Host` of calls, where that is not the gateway's own name.
        certificates: all that were configured for it.
    """

    url: SplitResult
    ssl_context: ssl.SSLContext | None
    vouches: bool
    host: str | None
    certificates: tuple[ConfiguredCertificate, ...]


def read_gateway(variables: Mapping[str, str]) -> Gateway | None:
    """Read the variables of a gateway; None where `VSYNC_DICT_GATEWAY` is not set.

    Raises:
        EnvironmentVariableError: one is missing or malformed, or contradicts another.
    """
    value = variables.get(GATEWAY, "").strip()
    if not value:
        return None
    for name in _ALONE:
        if variables.get(name, "").strip() not in ("", "0"):
            raise EnvironmentVariableError(f"{GATEWAY} and {name} are both set; unset the one not in use")
    url, vouches = tls_or_local_url(GATEWAY, value, _EXAMPLE), answers_are_vouched(variables)
    host = variables.get(_HOST, "").strip() or None
    if host and not re.fullmatch(r"[A-Za-z0-9.-]+", host):
        raise EnvironmentVariableError(f"{_HOST} is malformed; it is a host name without a port")
    if url.scheme == "http":
        if vouches:
            # Any program of this machine could listen on the port while the proxy is down.
            raise EnvironmentVariableError(
                f"{_ANSWERS}=vouched needs an https {GATEWAY}, so that it is known who vouches"
            )
        return Gateway(url, None, vouches, host, ())
    authorities = read_certificates(variables, CA, "the authorities that the gateway is certified by")
    client = _client(variables)
    return Gateway(
        url,
        tls_context(variables[CA], client, f"{CLIENT}_CERT_FILE or {CA}"),
        vouches,
        host,
        (
            *(configured(f"{CLIENT}_CERT_FILE", [client.certificate]) if client else ()),
            *configured(CA, authorities),
        ),
    )


def answers_are_vouched(variables: Mapping[str, str]) -> bool:
    """Return whether a gateway vouches for DICT's answers instead of handing DICT's signatures through.

    Raises:
        EnvironmentVariableError: `VSYNC_DICT_GATEWAY_ANSWERS` is malformed.
    """
    value = variables.get(_ANSWERS, "").strip()
    if value not in ("", "signed", "vouched"):
        raise EnvironmentVariableError(f"{_ANSWERS} is malformed; it is signed or vouched")
    return value == "vouched" and bool(variables.get(GATEWAY, "").strip())


def _client(variables: Mapping[str, str]) -> KeyPair | None:
    if not any(variables.get(f"{CLIENT}_{part}_FILE", "").strip() for part in ("CERT", "KEY")):
        return None
    return read_key_pair(variables, CLIENT, "the certificate that the gateway knows us by")
