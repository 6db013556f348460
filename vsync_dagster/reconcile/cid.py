"""The CID of an entry: 256 bits that stand for all nine of its attributes.

Source: DICT API 2.12.1, section Reconciliation; Manual Operacional do DICT, chapter 9.
"""

import hmac
from dataclasses import dataclass
from uuid import UUID

CID_BYTES = 32


@dataclass(frozen=True, slots=True, repr=False)
class EntryAttributes:
    """The nine attributes a CID is computed from, in DICT's order. All text: leading zeros count."""

    key_type: str
    key: str
    owner_tax_id: str
    owner_name: str
    owner_trade_name: str | None
    participant: str
    branch: str | None
    account_number: str
    account_type: str

    def text(self) -> str:
        """Join the attributes by `&`; a null attribute is the empty string, and nothing is escaped."""
        return "&".join(
            (
                self.key_type,
                self.key,
                self.owner_tax_id,
                self.owner_name,
                self.owner_trade_name or "",
                self.participant,
                self.branch or "",
                self.account_number,
                self.account_type,
            )
        )


def compute_cid(attributes: EntryAttributes, request_id: UUID) -> bytes:
    """Return the 32-byte CID: HMAC-SHA256 of the attributes, keyed by the request that created the entry.

    The key is the UUID's 16 bytes in network order. An update keeps the request id of the creation, so that the key
    of the HMAC never changes during an entry's life.
    """
    return hmac.digest(request_id.bytes, attributes.text().encode("utf-8"), "sha256")


def parse_cid(text: str) -> bytes:
    """Return the bytes of a hexadecimal CID or VSync; DICT allows both cases.

    Raises:
        ValueError: the text is not exactly 64 hexadecimal digits.
    """
    if len(text) != 2 * CID_BYTES or not text.isascii() or not text.isalnum():
        raise ValueError("a CID is 64 hexadecimal digits")
    return bytes.fromhex(text)
