"""English and Portuguese: the English sentence is the name of its translation."""

import json
from collections.abc import Callable
from functools import cache
from importlib.resources import files

LANGUAGES = ("pt", "en")
Translate = Callable[..., str]

# What codes are called on a page; the same code means the same everywhere.
LABELS = {
    "CONFIRM_DELETION": "delete the key here",
    "KEEP": "keep the key",
    "RE_REGISTER": "register again at DICT",
    "INVESTIGATE": "investigate",
    "WAITING": "waits for a decision",
    "SECOND_PERSON": "deletion waits for a second person",
    "INVESTIGATED": "being investigated",
    "KEPT": "kept until a day",
    "CLOSED": "closed",
    "PUT_UP": "put up for review",
    "DECIDED": "decided",
    "PROPOSED": "deletion proposed",
    "APPROVED": "deletion approved",
    "REJECTED": "proposal taken back",
    "KEY_SHOWN": "key shown",
    "COMPLETED": "completed",
    "PARTIAL": "partial",
    "FAILED": "failed",
    "VERIFIED": "VSync was OK at once",
    "EVENTS": "event log",
    "CID_FILE": "CID file",
    "VSYNC": "VSync",
    "VSYNC_WITHOUT_REVIEW": "VSync without the keys under review",
    "EVENT_CHAIN": "event chain",
    "GREEN": "in sync, proved",
    "AMBER": "partly, or not proved",
    "RED": "failed",
    "MISSING": "report is missing",
    "MISSING_BACEN": "DICT does not hold the key",
}


def choose(wanted: str | None, accepted: str) -> str:
    """Return the language to answer in.

    Args:
        wanted: what the person has chosen, if anything.
        accepted: the browser's Accept-Language; its order counts, for browsers write it by preference.
    """
    if wanted in LANGUAGES:
        return wanted
    for part in accepted.split(","):
        language = part.partition(";")[0].strip().lower()[:2]
        if language in LANGUAGES:
            return language
    return "en"


def translator(language: str) -> Translate:
    """Return what tells a sentence in a language, with its values in it; without a translation it stays English."""

    def translate(sentence: str, **values: object) -> str:
        told = portuguese().get(sentence, sentence) if language == "pt" else sentence
        return told.format(**values) if values else told

    return translate


@cache
def portuguese() -> dict[str, str]:
    """Return the Portuguese of every sentence."""
    text = (files("vsync_dagster.console") / "portuguese.json").read_text(encoding="utf-8")
    table: dict[str, str] = json.loads(text)
    return table


def label(translate: Translate, code: str) -> str:
    """Return what a code is called; a code that has no name is its own."""
    return translate(LABELS.get(code, code))


def number(language: str, value: float) -> str:
    """Return a number as it is written in a language: 4,008 and 49.7, or 4.008 and 49,7."""
    told = f"{value:,}"
    return told.translate(str.maketrans(",.", ".,")) if language == "pt" else told
