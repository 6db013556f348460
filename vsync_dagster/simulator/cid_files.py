"""CID set files: asked for, made after a while, downloadable until they expire.

A file's creation time is its request time plus the delay it was asked with, and its content is the set at that
moment, however much later it is first polled.
"""

import hashlib
import re
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

import numpy as np

from vsync_dagster.reconcile.cid import CID_BYTES
from vsync_dagster.simulator import cid_sets
from vsync_dagster.simulator.database import StateFile
from vsync_dagster.simulator.times import duration_ms, from_ms, to_ms

_BLOCK = 65_536
_PUBLISHED_NAME = re.compile(r"[^_]+_[A-Z]+_(?P<id>[0-9]{1,18})_[^_]+Z\.txt")
_SET_AT = """
    SELECT cid FROM entries WHERE set_id = :set AND removed_at IS NULL AND added_at <= :at
    UNION ALL
    SELECT cid FROM entries WHERE set_id = :set AND removed_at > :at AND added_at <= :at
"""


class FileOutcome(StrEnum):
    """How a file ends once its time has come; MALFORMED is AVAILABLE with a line that is no CID."""

    AVAILABLE = "AVAILABLE"
    UNAVAILABLE = "UNAVAILABLE"
    ERROR = "ERROR"
    NEVER_READY = "NEVER_READY"
    MALFORMED = "MALFORMED"


@dataclass(frozen=True, slots=True)
class FileState:
    """A file as DICT would tell it; the last four are there when its status is AVAILABLE.

    `name` is the last part of its URL, `{ISPB}_{KeyType}_{Id}_{time}Z.txt` as DICT's; the time has colons.
    """

    id: int
    participant: str
    key_type: str
    status: str
    requested_at: datetime
    created_at: datetime | None = None
    name: str | None = None
    bytes: int | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class _Row:
    id: int
    set_id: int
    participant: str
    key_type: str
    name: str
    outcome: str
    requested_at: int
    ready_at: int
    bytes: int | None
    sha256: str | None


class CidFiles:
    """The files of a state, their contents beside it on disk."""

    def __init__(self, file: StateFile, directory: Path, now: Callable[[], datetime]) -> None:
        self._file = file
        self._directory = directory
        self._now = now

    def request(
        self,
        participant: str,
        key_type: str,
        delay: timedelta,
        outcome: FileOutcome = FileOutcome.AVAILABLE,
    ) -> FileState:
        """Ask for a file that is ready after `delay`.

        Raises:
            DictRuleError: the participant is unknown.
        """
        with self._file.writing() as connection:
            cid_set = cid_sets.obtain(connection, participant, key_type)
            now = to_ms(self._now())
            cursor = connection.execute(
                "INSERT INTO cid_files (set_id, name, outcome, requested_at, ready_at) VALUES (?, ?, ?, ?, ?)",
                (cid_set.id, f"{secrets.token_hex(16)}.cids", outcome, now, now + duration_ms(delay)),
            )
        return FileState(cursor.lastrowid or 0, participant, key_type, "REQUESTED", from_ms(now))

    def get(self, file_id: int, lifetime: timedelta | None = None) -> FileState | None:
        """Return a file as it is now, its content made if its time has come; None for an id never given.

        After `lifetime` from its creation it is UNAVAILABLE.
        """
        row = self._row("f.id = ?", file_id)
        if row is None:
            return None
        requested_at = from_ms(row.requested_at)
        status = self._status(row, lifetime)
        if status != "AVAILABLE":
            return FileState(row.id, row.participant, row.key_type, status, requested_at)
        made = row if row.sha256 is not None else self._make(row)
        return FileState(
            id=made.id,
            participant=made.participant,
            key_type=made.key_type,
            status=status,
            requested_at=requested_at,
            created_at=from_ms(made.ready_at),
            name=_published_name(made),
            bytes=made.bytes,
            sha256=made.sha256,
        )

    def content(self, name: str, lifetime: timedelta | None = None) -> tuple[str, Path] | None:
        """Return whose an AVAILABLE file is and where its content lies; None for any other name."""
        parts = _PUBLISHED_NAME.fullmatch(name)
        row = self._row("f.id = ?", int(parts["id"])) if parts else None
        if row is None or _published_name(row) != name:
            return None
        if row.sha256 is None or self._status(row, lifetime) != "AVAILABLE":
            return None
        return row.participant, self._path(row)

    def finish(self, file_id: int, outcome: FileOutcome) -> None:
        """Give a file another ending, also one that is AVAILABLE already."""
        with self._file.writing() as connection:
            connection.execute("UPDATE cid_files SET outcome = ? WHERE id = ?", (outcome, file_id))

    def _status(self, row: _Row, lifetime: timedelta | None) -> str:
        now = to_ms(self._now())
        if now < (row.requested_at + row.ready_at) / 2:
            return "REQUESTED"
        if now < row.ready_at or row.outcome == FileOutcome.NEVER_READY:
            return "PROCESSING"
        if row.outcome in (FileOutcome.ERROR, FileOutcome.UNAVAILABLE):
            return row.outcome
        expired = lifetime is not None and now > row.ready_at + duration_ms(lifetime)
        return "UNAVAILABLE" if expired else "AVAILABLE"

    def _make(self, row: _Row) -> _Row:
        self._directory.mkdir(parents=True, exist_ok=True)
        digest, size = hashlib.sha256(), 0
        # Written aside and renamed: two polls at once make the same content, and none sees half of it.
        aside = self._directory / f"{row.name}.{secrets.token_hex(4)}"
        with aside.open("wb") as target:
            for block in self._blocks(row):
                target.write(block)
                digest.update(block)
                size += len(block)
        aside.replace(self._path(row))
        with self._file.writing() as connection:
            connection.execute(
                "UPDATE cid_files SET bytes = ?, sha256 = ? WHERE id = ?", (size, digest.hexdigest(), row.id)
            )
        made = self._row("f.id = ?", row.id)
        return made or row

    def _blocks(self, row: _Row) -> Iterator[bytes]:
        """Yield the lines in blocks, out of order, the same way each time."""
        shuffler = np.random.default_rng(row.id)
        with self._file.snapshot() as connection:
            cursor = connection.execute(_SET_AT, {"set": row.set_id, "at": row.ready_at})
            while cids := b"".join(cid for (cid,) in cursor.fetchmany(_BLOCK)):
                shuffled = shuffler.permutation(np.frombuffer(cids, np.uint8).reshape(-1, CID_BYTES))
                yield (shuffled.tobytes().hex("\n", CID_BYTES) + "\n").encode("ascii")
        if row.outcome == FileOutcome.MALFORMED:
            yield b"0123456789abcdef\n"

    def _path(self, row: _Row) -> Path:
        return self._directory / row.name

    def _row(self, where: str, value: object) -> _Row | None:
        connection: sqlite3.Connection = self._file.connection
        found = connection.execute(
            "SELECT f.id, f.set_id, s.participant, s.key_type, f.name, f.outcome, f.requested_at, f.ready_at,"  # noqa: S608
            f" f.bytes, f.sha256 FROM cid_files f JOIN cid_sets s ON s.id = f.set_id WHERE {where}",
            (value,),
        ).fetchone()
        return None if found is None else _Row(*found)


def _published_name(row: _Row) -> str:
    time = from_ms(row.ready_at).replace(tzinfo=None).isoformat(timespec="milliseconds")
    return f"{row.participant}_{row.key_type}_{row.id}_{time}Z.txt"
