"""What a participant writes down about its key table, as a TOML file. Pure: the table itself is not looked at."""

import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from vsync_dagster.local_db.key_table.columns import OUR_COLUMNS, Kind
from vsync_dagster.reconcile.errors import PermanentError
from vsync_dagster.reconcile.ispb import RULE, is_ispb

_KEYS = ("schema", "table", "time_zone", "columns", "constants", "words")
_CONSTANTS = ("participant_ispb", "branch", "account_type", "owner_type", "owner_trade_name")
_STATUSES = ("ACTIVE", "PENDING", "DELETED")


class KeyMappingError(PermanentError):
    """The mapping is not one, or does not fit the table; the text says what to mend."""


@dataclass(frozen=True, slots=True)
class KeyMapping:
    """Where the keys are, in the participant's own words. `text` is the file that it was read from.

    `columns` names the participant's column for ours; one that is left out has the same name. `constants` are ours
    that the table has no column for, since they are the same in every row. `words` holds, for a column of ours, our
    words with the participant's: several of theirs may mean one of ours, and the first is the one that is written.
    `time_zone` is that of the columns that have none.
    """

    text: str
    schema: str
    table: str
    columns: Mapping[str, str]
    constants: Mapping[str, str]
    words: Mapping[str, Mapping[str, tuple[str, ...]]]
    time_zone: str | None

    def __str__(self) -> str:
        return f"{self.schema}.{self.table}"

    def column_of(self, ours: str) -> str:
        """Return what one of our columns is called there."""
        return self.columns.get(ours, ours)


def parse(text: str) -> KeyMapping:
    """Return the mapping that a TOML document holds.

    Raises:
        KeyMappingError: it holds something else.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise KeyMappingError(f"the mapping is not TOML: {error}") from None
    _known(document, _KEYS, "the mapping has the key")
    mapping = KeyMapping(
        text,
        _text(document, "schema", "public"),
        _text(document, "table", None),
        _texts(document, "columns"),
        _texts(document, "constants"),
        {ours: _words(ours, words) for ours, words in _table(document, "words").items()},
        _time_zone(document),
    )
    _check_columns(mapping)
    _check_constants(mapping)
    _check_words(mapping)
    return mapping


def _check_columns(mapping: KeyMapping) -> None:
    _known(mapping.columns, OUR_COLUMNS, "[columns] names the column")
    names = Counter(mapping.column_of(ours) for ours in OUR_COLUMNS if ours not in mapping.constants)
    for name, count in names.items():
        if count > 1:
            raise KeyMappingError(f"the column {name} of {mapping} stands for {count} of our columns: name another")


def _check_constants(mapping: KeyMapping) -> None:
    _known(mapping.constants, _CONSTANTS, "[constants] names the column")
    for ours in mapping.constants:
        if ours in mapping.columns:
            raise KeyMappingError(f"{ours} is in [columns] and in [constants]: leave it out of one")
    ispb = mapping.constants.get("participant_ispb")
    if ispb is not None and not is_ispb(ispb):
        raise KeyMappingError(f"the constant participant_ispb is not an ISPB: {RULE}")


def _check_words(mapping: KeyMapping) -> None:
    of_words = [ours for ours, kind in OUR_COLUMNS.items() if kind is Kind.WORD]
    _known(mapping.words, of_words, "[words] names the column")
    for ours, words in mapping.words.items():
        if ours in mapping.constants:
            raise KeyMappingError(f"{ours} is in [words] and in [constants]: leave it out of one")
        for word, count in Counter(word for theirs in words.values() for word in theirs).items():
            if count > 1:
                raise KeyMappingError(f"[words.{ours}] has {word} {count} times: it can mean one word of ours only")
    status = mapping.words.get("status")
    if status is not None:
        _known(status, _STATUSES, "[words.status] has the word")
        for word in ("ACTIVE", "DELETED"):
            if word not in status:
                raise KeyMappingError(f"[words.status] does not say what {word} is called in {mapping}")


def _known(names: Iterable[str], known: Iterable[str], what: str) -> None:
    for name in names:
        if name not in known:
            raise KeyMappingError(f"{what} {name}, which there is not: there are {', '.join(known)}")


def _text(document: Mapping[str, Any], name: str, default: str | None) -> str:
    value = document.get(name, default)
    if not isinstance(value, str) or not value:
        raise KeyMappingError(f"{name} is missing or no text: it names the {name} that the keys are in")
    return value


def _time_zone(document: Mapping[str, Any]) -> str | None:
    if "time_zone" not in document:
        return None
    name = _text(document, "time_zone", None)
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError):
        raise KeyMappingError(f"time_zone {name} is none: it looks like America/Sao_Paulo or UTC") from None
    return name


def _table(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = document.get(name, {})
    if not isinstance(value, dict):
        raise KeyMappingError(f"{name} is no table: it begins with a line [{name}]")
    return value


def _texts(document: Mapping[str, Any], name: str) -> Mapping[str, str]:
    values = _table(document, name)
    for ours, theirs in values.items():
        if not isinstance(theirs, str) or (name == "columns" and not theirs):
            raise KeyMappingError(f'[{name}] {ours} is no text: it looks like {ours} = "…"')
    return values


def _words(ours: str, words: object) -> Mapping[str, tuple[str, ...]]:
    if not isinstance(words, dict):
        raise KeyMappingError(f"[words] {ours} is no table: it begins with a line [words.{ours}]")
    return {word: _word_list(f"[words.{ours}] {word}", theirs) for word, theirs in words.items()}


def _word_list(where: str, theirs: object) -> tuple[str, ...]:
    found = theirs if isinstance(theirs, list) else [theirs]
    if not found or not all(isinstance(word, str | int) for word in found):
        raise KeyMappingError(f"{where} is no word and no list of words")
    # As PostgreSQL writes them: TOML's true is `true`.
    return tuple(str(word).lower() if isinstance(word, bool) else str(word) for word in found)
