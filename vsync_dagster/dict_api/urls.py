"""URLs in environment variables; an error names the variable and never quotes the URL, which can be secret."""

import ipaddress
from urllib.parse import SplitResult, urlsplit

from vsync_dagster.reconcile.errors import EnvironmentVariableError


def parsed_url(name: str, value: str, example: str) -> SplitResult:
    """Return an http or https URL with a host and without query and fragment.

    Raises:
        EnvironmentVariableError: it is something else.
    """
    try:
        url = urlsplit(value)
        host, _ = url.hostname, url.port
    except ValueError:
        url, host = urlsplit(""), None
    if url.scheme not in ("https", "http") or not host or url.query or url.fragment:
        raise EnvironmentVariableError(f"{name} is malformed; it looks like {example}")
    return url


def tls_or_local_url(name: str, value: str, example: str) -> SplitResult:
    """Return a URL that is https, or http to this machine.

    Raises:
        EnvironmentVariableError: it is something else.
    """
    url = parsed_url(name, value, example)
    if url.scheme != "https" and not is_loopback(str(url.hostname)):
        raise EnvironmentVariableError(f"{name} must be https, or http to this machine; it looks like {example}")
    return url


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine, over its loopback interface."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def ending_in_slash(url: SplitResult) -> str:
    """Return a base URL as text, with one slash at its end."""
    return url.geturl().rstrip("/") + "/"
