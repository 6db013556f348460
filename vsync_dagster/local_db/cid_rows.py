"""The rows that a whole read of a participant takes, and whether each still hashes to its CID."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from psycopg.sql import SQL, Composable, Composed, Literal

Bytes = npt.NDArray[np.uint8]

_PLAIN = SQL("select key_type, entry_id, cid, false as tampered from entries where {active}")

# HMAC-SHA256 (RFC 2104) is sha256(outer key || sha256(inner key || text)); the keys are the request id, filled up with
# zeros to SHA-256's block of 64 bytes, XOR 0x5c and XOR 0x36. PostgreSQL XORs strings of bits, whose binary form begins
# with four bytes of length. The zeros of the inner key become 48 times "6" (0x36 in ASCII), and begin the text here.
# With `offset 0` the bits are computed once a row.
_CHECKED = SQL(
    """
    select key_type, entry_id, cid, cid is distinct from sha256(
        substring(bit_send(request_bits # {outer}::bit(128)) from 5) || {outer_rest}::bytea || sha256(
            substring(bit_send(request_bits # {inner}::bit(128)) from 5) || convert_to(concat_ws(
                '&', {inner_rest} || key_type, key, owner_tax_id, owner_name, coalesce(owner_trade_name, ''),
                participant_ispb::text, coalesce(branch, ''), account_number, account_type
            ), 'UTF8')
        )
    ) as tampered
    from (
        select *, ('x' || encode(uuid_send(request_id), 'hex'))::bit(128) as request_bits
        from entries where {active} offset 0
    ) as keyed
    """
)
_PADS = {
    "outer": Literal("x" + "5c" * 16),
    "outer_rest": Literal("\\x" + "5c" * 48),
    "inner": Literal("x" + "36" * 16),
    "inner_rest": Literal("6" * 48),
}

_ALL = SQL("true")


@dataclass(frozen=True, slots=True)
class CidBlock:
    """The CIDs of rows of one key type, (n, 32) bytes.

    Those m rows that do not hash to their CID are told once more, by entry id, (m, 16), and CID, (m, 32); there are
    none where nobody looked.
    """

    key_type: str
    cids: Bytes
    tampered_ids: Bytes
    tampered_cids: Bytes


def active_rows(ispb: str, *, integrity: bool, among: Composable = _ALL) -> Composed:
    """Return the query of a participant's ACTIVE rows: key_type, entry_id, cid, and whether the row was tampered with.

    Args:
        ispb: the participant.
        integrity: recompute each CID (see `reconcile.cid`), in the server: no attribute leaves it. Otherwise
            `tampered` is false.
        among: a condition on the rows of `entries`.
    """
    active = SQL("participant_ispb = {} and status = 'ACTIVE' and {}").format(Literal(ispb), among)
    return _CHECKED.format(active=active, **_PADS) if integrity else _PLAIN.format(active=active)
