"""Made-up personal data that is recognised wherever it turns up, and however it is written."""

import base64
import gzip
import json
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import quote
from uuid import UUID

from vsync_dagster.reconcile.entry import Entry
from vsync_dagster.reconcile.keys import KeyType

NAME, TRADE_NAME, DIGITS, EMAIL = "Segrêdo", "Ocultíssima", "975318642", "segredo.oculto"
ACCOUNT = "864297531"
EVP_START, REQUEST_START = "5e62ed00-c0de", "4e9e57ed-5e62"

_GROUPED = (f"{DIGITS[:3]}.{DIGITS[3:6]}.{DIGITS[6:]}", f"{DIGITS[:2]}.{DIGITS[2:5]}.{DIGITS[5:8]}")
_TEXTS = (NAME, TRADE_NAME, DIGITS, *_GROUPED, EMAIL, ACCOUNT)
_UUIDS = (EVP_START, REQUEST_START)
_MOMENT = datetime(2025, 5, 6, 7, 8, 9, 123_000, tzinfo=UTC)


def secret_entry(number: int, ispb: str, key_type: str) -> Entry:
    """Return one of a series of entries, each attribute of which is recognised."""
    keys = {
        KeyType.CPF: f"{DIGITS}{number:02}",
        KeyType.CNPJ: f"{DIGITS}{number:05}",
        KeyType.PHONE: f"+5511{DIGITS}{number:02}",
        KeyType.EMAIL: f"{EMAIL}{number}@exemplo.com.br",
        KeyType.EVP: f"{EVP_START}-4c0d-8000-{number:012}",
    }
    company = key_type == KeyType.CNPJ
    return Entry(
        key_type=key_type,
        key=keys[KeyType(key_type)],
        participant=ispb,
        branch="0001",
        account_number=f"{ACCOUNT}{number:02}",
        account_type="CACC",
        account_opened_at=_MOMENT,
        owner_type="LEGAL_PERSON" if company else "NATURAL_PERSON",
        owner_tax_id=f"{DIGITS}{number:05}" if company else f"{DIGITS}{number:02}",
        owner_name=f"{NAME} Guardado",
        owner_trade_name=TRADE_NAME if company else None,
        created_at=_MOMENT,
        key_owned_since=_MOMENT,
        request_id=UUID(f"{REQUEST_START}-4e70-8000-{number:012}"),
    )


def secrets_in(data: bytes) -> set[str]:
    """Return which of the secrets some bytes hold: as text, escaped, in hex or base64, or compressed."""
    lowered = data.lower()
    found = {text for text, forms in _FORMS.items() if any(form in lowered for form in forms)}
    found |= {text for text, forms in _EXACT_FORMS.items() if any(form in data for form in forms)}
    unpacked = _unpacked(data)
    return found if unpacked is None else found | secrets_in(unpacked)


def _forms(text: str) -> Iterator[bytes]:
    """Return how a text may be written, in lower case."""
    encoded = text.encode()
    yield from (encoded, text.encode("latin-1"), encoded.hex().encode(), text.encode("latin-1").hex().encode())
    yield quote(text).encode()
    for escaped in (json.dumps(text)[1:-1].encode(), text.encode("unicode_escape"), repr(encoded)[2:-1].encode()):
        yield escaped
        yield escaped.replace(b"\\", b"\\\\")  # inside of another text
    yield text.encode("utf-16-le")


def _exact_forms(raw: bytes) -> Iterator[bytes]:
    """Return how bytes are written in base64, wherever in the encoded text they begin."""
    yield raw
    for before in range(3):
        whole = base64.b64encode(bytes(before) + raw)
        # The characters that no neighbour of the secret has a part in.
        inner = whole[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]
        yield inner
        yield inner.replace(b"+", b"-").replace(b"/", b"_")


def _uuid_forms(start: str) -> Iterator[bytes]:
    yield from _forms(start)
    yield from _forms(start.replace("-", ""))


_FORMS = {text: {form.lower() for form in _forms(text)} for text in _TEXTS} | {
    start: {form.lower() for form in _uuid_forms(start)} for start in _UUIDS
}
_EXACT_FORMS = {text: set(_exact_forms(text.encode())) for text in (*_TEXTS, *_UUIDS)} | {
    f"{start} in binary": set(_exact_forms(bytes.fromhex(start.replace("-", "")))) for start in _UUIDS
}


def _unpacked(data: bytes) -> bytes | None:
    try:
        return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else zlib.decompress(data)
    except (OSError, EOFError, zlib.error):
        return None
