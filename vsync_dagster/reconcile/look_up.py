"""How a look-up by CID ends."""

from enum import StrEnum


class Found(StrEnum):
    """What DICT answered about a CID.

    GONE (404) and NOT_OURS (403, or another participant's entry) mean that the set moved since the CID was seen.
    MISMATCH: the entry does not hash to its CID, so nothing of it may be used. OTHER_SPELLING: the entry names us in
    another case of letters than we are registered in, so it can be in no set of ours. PENDING: DICT's budget ended
    first.
    """

    FOUND = "FOUND"
    GONE = "GONE"
    NOT_OURS = "NOT_OURS"
    MISMATCH = "MISMATCH"
    OTHER_SPELLING = "OTHER_SPELLING"
    PENDING = "PENDING"
