"""How a look-up by CID ends."""

from enum import StrEnum


class Found(StrEnum):
    """What DICT answered about a CID.

    GONE (a signed 404 NotFound or 410 Gone) and NOT_OURS (a signed 403 Forbidden, or another participant's entry) mean
    that the set moved since the CID was seen. MISMATCH: the entry does not hash to its CID, so nothing of it may be
    used. OTHER_SPELLING: the entry names us in another case of letters than we are registered in, so it can be in no
    set of ours. UNREADABLE: DICT cannot answer for this CID, while it does for others; nothing is known of its entry.
    PENDING: DICT's budget ended first.
    """

    FOUND = "FOUND"
    GONE = "GONE"
    NOT_OURS = "NOT_OURS"
    MISMATCH = "MISMATCH"
    OTHER_SPELLING = "OTHER_SPELLING"
    UNREADABLE = "UNREADABLE"
    PENDING = "PENDING"
