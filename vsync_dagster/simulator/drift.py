"""Drift: what a participant's own system failed to follow.

Creates, updates and deletes happen in the simulated DICT only, so that the participant misses keys
(MISSING_LOCAL), holds them as they were (OUTDATED_LOCAL) or holds some that are gone (MISSING_BACEN). Tampering
happens in the participant's base only, beneath its CIDs, so that no VSync can see it.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import psycopg

from vsync_dagster.reconcile.entry import Entry
from vsync_dagster.reconcile.keys import KeyType
from vsync_dagster.simulator import population
from vsync_dagster.simulator.errors import SimulatorStateError
from vsync_dagster.simulator.local_base import tamper
from vsync_dagster.simulator.names import SURNAMES
from vsync_dagster.simulator.rows import HeldEntry
from vsync_dagster.simulator.state import DictState, EntryChanges

_KEYS_TRIED = 10_000_000
_ENDING_DIGITS = re.compile(r"(.*?)([0-9]*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class DriftResult:
    """What was moved: CIDs at DICT (an update's before and after), entry ids in the participant's base."""

    created: tuple[bytes, ...]
    updated: tuple[tuple[bytes, bytes], ...]
    deleted: tuple[bytes, ...]
    tampered: tuple[UUID, ...]


def drift(
    state: DictState,
    local: psycopg.Connection[Any] | None,
    ispb: str,
    *,
    creates: int = 0,
    updates: int = 0,
    deletes: int = 0,
    local_tampers: int = 0,
    seed: int | str = 0,
    key_types: Sequence[str] = tuple(KeyType),
) -> DriftResult:
    """Move DICT and the participant's base apart, spread over the key types; no key is touched twice.

    The caller commits `local`, which only tampering needs.

    Raises:
        SimulatorStateError: there are not as many keys as are to be changed, or `local` is missing. What was
            changed at DICT before stays changed.
    """
    if local_tampers and local is None:
        raise SimulatorStateError("tampering needs a connection to the participant's base")
    chosen = _choose(state, ispb, updates + deletes, str(seed), key_types)
    doomed, stale = chosen[:deletes], chosen[deletes:]
    chance = random.Random(f"{ispb}/{seed}")  # noqa: S311
    return DriftResult(
        created=tuple(_create(state, ispb, creates, seed, key_types)),
        updated=tuple(state.update_entry(held.entry.key, **_changes(held.entry, chance)) for held in stale),
        deleted=tuple(state.delete_entry(held.entry.key) for held in doomed),
        tampered=()
        if local is None
        else _tamper(local, ispb, local_tampers, str(seed), key_types, [held.cid for held in chosen]),
    )


def _choose(state: DictState, ispb: str, count: int, seed: str, key_types: Sequence[str]) -> list[HeldEntry]:
    """Pick entries, the key types taking turns; a type that runs out leaves its turns to the others."""
    piles = [state.sample(ispb, key_type, count, seed) for key_type in key_types]
    chosen: list[HeldEntry] = []
    while len(chosen) < count:
        piles = [pile for pile in piles if pile]
        if not piles:
            raise SimulatorStateError(f"{count} keys were to change, and DICT holds {len(chosen)} of {ispb}")
        chosen += [pile.pop() for pile in piles]
    return chosen[:count]


def _create(state: DictState, ispb: str, count: int, seed: int | str, key_types: Sequence[str]) -> list[bytes]:
    created: list[bytes] = []
    strangers = population.generate(ispb, _KEYS_TRIED, f"drift/{seed}", key_types)
    while len(created) < count:
        now = state.now()
        stranger = replace(next(strangers), created_at=now, key_owned_since=now)
        if state.entry_by_key(stranger.key) is None:
            created.append(state.create_entry(stranger))
    return created


def _changes(entry: Entry, chance: random.Random) -> EntryChanges:
    # Of a number with letters, another one with letters.
    head, digits = _ENDING_DIGITS.fullmatch(entry.account_number).groups()  # type: ignore[union-attr]
    number = f"{head[:12]}{(int(digits or '0') + chance.randrange(1, 10_000)) % 10**8:08d}"
    match chance.randrange(4):
        case 0:
            return {"owner_name": f"{entry.owner_name[:130]} {chance.choice(SURNAMES)}"}
        case 1:
            return {"branch": None if entry.branch else "0001"}
        case 2:
            return {"account_number": number, "account_type": "SVGS", "branch": "0002"}
        case _:
            return {"account_number": number}


def _tamper(
    local: psycopg.Connection[Any],
    ispb: str,
    count: int,
    seed: str,
    key_types: Sequence[str],
    spared: list[bytes],
) -> tuple[UUID, ...]:
    touched = tamper(local, ispb, key_types, count, seed, spared)
    if len(touched) < count:
        raise SimulatorStateError(f"{count} rows of {ispb} were to be tampered with, and {len(touched)} could be")
    return tuple(touched)
