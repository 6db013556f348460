"""Looking up the CIDs that we do not hold, and keeping what was found until it is applied."""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from vsync_dagster.dict_api.client import DictClient
from vsync_dagster.dict_api.lookup import LookUp, look_up
from vsync_dagster.local_db import lookups
from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.encryption import Cipher
from vsync_dagster.progress import counting
from vsync_dagster.reconcile.entry import Entry
from vsync_dagster.reconcile.errors import BudgetExhaustedError
from vsync_dagster.reconcile.look_up import Found

_log = logging.getLogger(__name__)

# What a process that is killed may lose: each entry was paid for.
STAGE_EVERY = 50


def unknown_cids(database: Database, cipher: Cipher, ispb: str, cids: Collection[bytes]) -> list[bytes]:
    """Return those of the CIDs that must be looked up.

    A CID names its content, so an entry that an earlier sync looked up, on whatever day, is not asked for again.
    """
    expired = database.retrying(lookups.delete_expired, bulk=True)
    if expired:
        _log.info("forgot %d looked-up entries that nobody applied in time", expired)
    known = database.retrying(lambda connection: lookups.known_cids(connection, cipher, ispb, list(cids)))
    return [cid for cid in cids if cid not in known]


@dataclass(frozen=True, slots=True)
class Outcomes:
    """How each look-up ended, and why a CID is UNREADABLE: DICT's problem type and CorrelationId."""

    found: dict[bytes, Found]
    unreadable: dict[bytes, str]


def look_up_all(client: DictClient, database: Database, cipher: Cipher, cids: Sequence[bytes], most: int) -> Outcomes:
    """Look up at most so many CIDs and keep the entries found in `looked_up_entries`; returns how each look-up ended.

    What has been paid for is kept even when a later look-up fails. Where DICT's budget ends before the work does, the
    rest is PENDING.
    """
    outcomes, unreadable = dict.fromkeys(cids, Found.PENDING), dict[bytes, str]()
    found: list[Entry] = []
    try:
        with counting(_log, "look-ups", min(most, len(cids))) as count:
            for result in look_up(client, cids[:most]):
                outcomes[result.cid] = result.outcome
                if result.outcome is Found.UNREADABLE:
                    unreadable[result.cid] = why_unreadable(result)
                    _log.warning("CID %s cannot be read at DICT: %s", result.cid.hex(), unreadable[result.cid])
                if result.entry is not None:
                    found.append(result.entry)
                if len(found) >= STAGE_EVERY:
                    _stage(database, cipher, found)
                count.advance()
    except BudgetExhaustedError as error:
        _log.warning("%s", error)
    finally:
        _stage(database, cipher, found)
    return Outcomes(outcomes, unreadable)


def why_unreadable(answer: LookUp) -> str:
    """Return what DICT answered instead of an entry, with the CorrelationId to ask it about."""
    return f"{answer.problem}, CorrelationId {answer.correlation_id or 'unknown'}"


def _stage(database: Database, cipher: Cipher, found: list[Entry]) -> None:
    if found:
        database.retrying(lambda connection: lookups.stage(connection, cipher, found))
        found.clear()
