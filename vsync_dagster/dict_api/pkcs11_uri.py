"""Which key of which token signs: a PKCS#11 URI (RFC 7512), with the PIN in a file and never in the URI."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from vsync_dagster.reconcile.errors import EnvironmentVariableError

KEY = "VSYNC_SIGNING_KEY"
MODULE = "VSYNC_SIGNING_MODULE"
PIN_FILE = "VSYNC_SIGNING_PIN_FILE"
_EXAMPLE = "pkcs11:token=vsync;object=signing?module-path=/usr/lib/softhsm/libsofthsm2.so"
_TOKEN = ("token", "serial", "manufacturer", "model", "slot-id")
_PATH = (*_TOKEN, "object", "id", "type")
_QUERY = ("module-path", "pin-source")


@dataclass(frozen=True, slots=True)
class Pkcs11Uri:
    """A private key in a token.

    Attributes:
        token: what the token must be, by RFC 7512's names: token (its label), serial, manufacturer, model, slot-id.
        label: the key's label, or None.
        key_id: the key's CKA_ID, or None.
        module: the PKCS#11 library.
        pin_file: the file with the PIN.
    """

    token: Mapping[str, str]
    label: str | None
    key_id: bytes | None
    module: Path
    pin_file: Path


def read_pkcs11_uri(variables: Mapping[str, str]) -> Pkcs11Uri:
    """Read `VSYNC_SIGNING_KEY`; the module and the PIN's file may stand in variables of their own.

    Raises:
        EnvironmentVariableError: it is malformed or incomplete, or holds a PIN; its text quotes nothing of the URI.
    """
    text = variables.get(KEY, "").strip()
    scheme, _, rest = text.partition(":")
    if scheme.lower() != "pkcs11":
        raise _malformed(f"it looks like {_EXAMPLE}")
    path_text, _, query_text = rest.partition("?")
    if "pin-value" in rest:
        raise EnvironmentVariableError(f"{KEY} holds a PIN; put the PIN into a file and name it in {PIN_FILE}")
    path, query = _attributes(path_text, ";", _PATH), _attributes(query_text, "&", _QUERY)
    if path.get("type", "private") != "private":
        raise _malformed("its type is private, or left out")
    if "object" not in path and "id" not in path:
        raise _malformed("it names the key by object, id or both")
    return Pkcs11Uri(
        token={name: unquote(path[name]) for name in _TOKEN if name in path},
        label=unquote(path["object"]) if "object" in path else None,
        key_id=unquote_to_bytes(path["id"]) if "id" in path else None,
        module=_file(query, "module-path", variables, MODULE, "the PKCS#11 library of the HSM"),
        pin_file=_file(query, "pin-source", variables, PIN_FILE, "the file with the PIN"),
    )


def _attributes(text: str, separator: str, known: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for attribute in filter(None, text.split(separator)):
        name, equals, value = attribute.partition("=")
        # Not quoted: what stands in the wrong place can be the PIN.
        if name not in known or not equals or not value or name in found:
            raise _malformed(f"this part holds each of {', '.join(known)} at most once, as name=value")
        found[name] = value
    return found


def _file(query: Mapping[str, str], attribute: str, variables: Mapping[str, str], name: str, what: str) -> Path:
    """Return the file that an attribute names, as a path or a file: URL, or else a variable."""
    text = unquote(query.get(attribute, "")) or variables.get(name, "").strip()
    if not text:
        raise EnvironmentVariableError(f"{name} is not set, and {KEY} has no {attribute}; set it to {what}")
    path = Path(urlsplit(text).path if text.startswith("file:") else text)
    if not path.is_absolute():
        raise EnvironmentVariableError(f"{name}, or {attribute} in {KEY}, is not an absolute path")
    return path


def _malformed(why: str) -> EnvironmentVariableError:
    return EnvironmentVariableError(f"{KEY} is malformed; {why}")
