"""The ISPB, which names a participant.

Source: DICT API 2.12.1, schema ISPB: eight letters or digits, in either case; 2.13 announces upper case only. The ISPB
enters every CID as it is spelled, so its case is never changed. Nothing official says whether DICT takes two spellings
for one participant. Here the spelling that was registered is the participant's only one: it is sent to DICT, it must
stand in the rows of `entries`, and an ISPB that differs from it in case alone is refused rather than taken for another
participant.
"""

import re

# The official `^(?i)[a-z0-9]{8}` has lost its end, and Python does not take it; `(?i)` would also admit U+017F, U+212A.
_ISPB = re.compile(r"[0-9A-Za-z]{8}")

RULE = "an ISPB is eight digits or letters, leading zeros included"
"""What an error says of a text that is no ISPB."""


def is_ispb(text: str) -> bool:
    """Tell whether a text is an ISPB."""
    return _ISPB.fullmatch(text) is not None


def other_spelling(ispb: str, known: str) -> bool:
    """Tell whether two ISPBs differ in the case of letters, and in nothing else."""
    return ispb != known and ispb.upper() == known.upper()
