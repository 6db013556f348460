"""The review queue as a person looks at it: states, ages, filters and counts. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from enum import StrEnum
from urllib.parse import urlencode

from vsync_dagster.local_db.review import OpenItem
from vsync_dagster.reconcile.calendar import day_of
from vsync_dagster.reconcile.suggestion import Suggestion

PAGE = 50


class State(StrEnum):
    """What an item waits for."""

    WAITING = "WAITING"
    SECOND_PERSON = "SECOND_PERSON"
    INVESTIGATED = "INVESTIGATED"
    KEPT = "KEPT"
    CLOSED = "CLOSED"


class Age(StrEnum):
    """How long an item has been open; an alert goes out after 24 hours."""

    DAY = "under 24 hours"
    DAYS = "1 to 3 days"
    WEEK = "3 to 7 days"
    LONGER = "over 7 days"


class Order(StrEnum):
    """How the list is sorted."""

    OLDEST = "oldest first"
    NEWEST = "newest first"
    PARTICIPANT = "participant"
    KEY_TYPE = "key type"


_AGES = ((timedelta(days=1), Age.DAY), (timedelta(days=3), Age.DAYS), (timedelta(days=7), Age.WEEK))


@dataclass(frozen=True, slots=True)
class Row:
    """An item with what is derived from it."""

    item: OpenItem
    suggestion: Suggestion
    state: State
    age: Age


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody wants to see, as it stands in the address; empty is everything."""

    participant: str = ""
    key_type: str = ""
    suggestion: str = ""
    state: str = ""
    age: str = ""
    order: str = Order.OLDEST.value

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "Wanted":
        """Return what an address asks for."""
        names = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in query.items() if name in names and value})

    def query(self, **changes: str | int) -> str:
        """Return the address's part that asks for the same, but for the changes."""
        asked = {field.name: getattr(self, field.name) for field in fields(self)} | changes
        return urlencode({name: value for name, value in asked.items() if value})

    def matches(self, row: Row) -> bool:
        """Tell whether a row is wanted."""
        wanted_and_found = (
            (self.participant, row.item.participant_ispb),
            (self.key_type, row.item.key_type),
            (self.suggestion, row.suggestion.decision),
            (self.state, row.state),
            (self.age, row.age),
        )
        return all(wanted in ("", found) for wanted, found in wanted_and_found)


@dataclass(frozen=True, slots=True)
class Counts:
    """How many items there are of each age and of each suggestion."""

    ages: Mapping[Age, int]
    suggestions: Mapping[str, int]

    @classmethod
    def of(cls, rows: Iterable[Row]) -> "Counts":
        """Count rows; every age is named, also that of which there is none."""
        rows = list(rows)
        ages = Counter(row.age for row in rows)
        return cls({age: ages[age] for age in Age}, Counter(row.suggestion.decision for row in rows))


def row_of(item: OpenItem, now: datetime) -> Row:
    """Return an item with its suggestion, state and age."""
    return Row(item, item.suggestion(), _state(item, now), _age(now - item.created_at))


def arrange(rows: Sequence[Row], wanted: Wanted) -> list[Row]:
    """Return the wanted rows in the wanted order; those that came oldest first stay so among equals."""
    found = [row for row in rows if wanted.matches(row)]
    match wanted.order:
        case Order.NEWEST:
            return found[::-1]
        case Order.PARTICIPANT:
            return sorted(found, key=lambda row: row.item.participant_ispb)
        case Order.KEY_TYPE:
            return sorted(found, key=lambda row: row.item.key_type)
        case _:
            return found


def _state(item: OpenItem, now: datetime) -> State:
    if item.status == "CLOSED":
        return State.CLOSED
    if item.status == "KEPT":
        due = item.ask_again_on is not None and item.ask_again_on <= day_of(now)
        return State.WAITING if due else State.KEPT
    match item.decision:
        case "CONFIRM_DELETION":
            return State.SECOND_PERSON
        case "INVESTIGATE":
            return State.INVESTIGATED
        case _:
            return State.WAITING


def _age(age: timedelta) -> Age:
    return next((name for limit, name in _AGES if age < limit), Age.LONGER)
