"""The way to a server: its name, a connection, TLS."""

import socket
import ssl
from urllib.parse import urlsplit

from vsync_dagster.doctor.check import Check, State

TIMEOUT_SECONDS = 10.0


def check_name(name: str, host: str, variable: str, state: State = State.FAILED) -> Check:
    """Check that a host's name resolves."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return Check(name, state, f"{host} is unknown", f"correct {variable}, or have the DNS know it")
    return Check(name, State.OK, f"{host} has {len({address[4][0] for address in found})} addresses")


def check_server(
    name: str, address: tuple[str, int], context: ssl.SSLContext | None, variable: str, state: State = State.FAILED
) -> Check:
    """Check that a server takes a connection and, with a context, that both sides agree on TLS.

    With TLS 1.3 a server tells only after the handshake that it does not accept our certificate: a call shows that.

    Args:
        name: the check's name.
        address: host and port.
        context: what to trust and to show; None for a connection without TLS.
        variable: the environment variable that the address is from.
        state: how bad it is if that fails.
    """
    host, port = address
    try:
        with socket.create_connection(address, TIMEOUT_SECONDS) as connection:
            if context is None:
                return Check(name, State.OK, f"{host}:{port} takes connections")
            with context.wrap_socket(connection, server_hostname=host) as tls:
                return Check(name, State.OK, f"{host}:{port} speaks {tls.version()}, its certificate is accepted")
    except socket.gaierror:
        return Check(name, state, f"{host} is unknown", f"correct {variable}, or have the DNS know it")
    except ssl.SSLCertVerificationError as error:
        detail = f"the certificate of {host}:{port} is not accepted ({error.verify_message})"
        return Check(name, state, detail, "name its authority in VSYNC_DICT_CA_FILE")
    except ssl.SSLError as error:
        detail = f"no TLS with {host}:{port} ({error.reason})"
        return Check(name, state, detail, f"check {variable}, and whether our certificate is registered there")
    except TimeoutError:
        return Check(name, state, f"{host}:{port} does not answer", "check the firewall and the way through RSFN")
    except OSError as error:
        return Check(name, state, f"{host}:{port}: {error.strerror}", f"check {variable}, and the firewall")


def address_of(url: str, default_port: int) -> tuple[str, int]:
    """Return host and port of a URL."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or default_port
