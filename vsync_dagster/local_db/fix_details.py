"""What a row was before and after a fix: personal data, encrypted, and never changed but for its key."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import psycopg

from vsync_dagster.local_db.database import Connection
from vsync_dagster.local_db.encryption import FIX_DETAILS, AlteredCiphertextError, Cipher, Encrypted

_SALT_BYTES = 16

_COPY = """
copy fix_details (run_id, participant_ispb, kind, cid, key_id, ciphertext, digest) from stdin (format binary)
"""
# As text, char(8) looks the same.
_COPY_TYPES = ("text", "text", "text", "bytea", "text", "bytea", "bytea")

# A run that applies a fix again, which somebody undid in between: what is kept then stays.
_KEEP = """
insert into fix_details (run_id, participant_ispb, kind, cid, key_id, ciphertext, digest)
values (%s, %s, %s, %s, %s, %s, %s) on conflict do nothing
"""
_OF_RUN = """
select run_id, participant_ispb, kind, cid, key_id, ciphertext, digest from fix_details
where run_id = %s order by participant_ispb, kind, cid
"""


@dataclass(frozen=True, slots=True, repr=False)
class FixDetail:
    """A row of `entries` before and after a fix, by column; a CREATE may have had no row before. Has no repr."""

    participant_ispb: str
    kind: str
    cid: bytes
    before: Mapping[str, Any] | None
    after: Mapping[str, Any]


@dataclass(frozen=True, slots=True, repr=False)
class FixTexts:
    """A `FixDetail` whose rows are JSON objects as text, as PostgreSQL renders them. Has no repr."""

    participant_ispb: str
    kind: str
    cid: bytes
    before: str | None
    after: str


Sealed = tuple[str | bytes, ...]
"""A row of `fix_details`, but for its run."""


def keep(conn: Connection, cipher: Cipher, run_id: str, details: Iterable[FixDetail]) -> None:
    """Keep the details of fixes that are applied in the caller's transaction."""
    keep_sealed(conn, run_id, sealed(cipher, run_id, map(_rendered, details)))


def sealed(
    cipher: Cipher, run_id: str, details: Iterable[FixTexts], random_bytes: Callable[[int], bytes] = os.urandom
) -> list[Sealed]:
    """Encrypt details, without reading what their texts say."""
    return [_row(cipher, run_id, detail, random_bytes(_SALT_BYTES)) for detail in details]


def keep_sealed(conn: Connection, run_id: str, rows: Sequence[Sealed]) -> None:
    """Keep encrypted details as `keep` does."""
    kept = [(run_id, *row) for row in rows]
    try:
        with conn.transaction(), conn.cursor() as cursor, cursor.copy(_COPY) as copy:
            copy.set_types(_COPY_TYPES)
            for row in kept:
                copy.write_row(row)
    except psycopg.errors.UniqueViolation:
        with conn.cursor() as cursor:
            cursor.executemany(_KEEP, kept)


def of_run(conn: Connection, cipher: Cipher, run_id: str) -> Iterator[FixDetail]:
    """Yield what a run has changed, streamed: a first sync changes every key. The caller keeps the transaction open.

    Raises:
        UnknownKeyError, AlteredCiphertextError: one cannot be decrypted, or is not what was kept.
    """
    with conn.cursor(name="fix_details") as cursor:
        for row in cursor.execute(_OF_RUN, [run_id]):
            yield _read(cipher, row)


def _rendered(detail: FixDetail) -> FixTexts:
    before = None if detail.before is None else json.dumps(detail.before, ensure_ascii=False)
    after = json.dumps(detail.after, ensure_ascii=False)
    return FixTexts(detail.participant_ispb, detail.kind, detail.cid, before, after)


def _row(cipher: Cipher, run_id: str, detail: FixTexts, salt: bytes) -> Sealed:
    content = f'{{"salt": "{salt.hex()}", "before": {detail.before or "null"}, "after": {detail.after}}}'
    plaintext = content.encode()
    identity = (detail.participant_ispb, detail.kind, detail.cid)
    kept = cipher.encrypt(FIX_DETAILS, (run_id, *identity), plaintext)
    return (*identity, kept.key_id, kept.ciphertext, sha256(plaintext).digest())


def _read(cipher: Cipher, row: tuple[Any, ...]) -> FixDetail:
    *identity, key_id, ciphertext, digest = row
    plaintext = cipher.decrypt(FIX_DETAILS, identity, Encrypted(key_id, ciphertext))
    if sha256(plaintext).digest() != digest:
        raise AlteredCiphertextError(FIX_DETAILS.name)
    content = json.loads(plaintext)
    _, ispb, kind, cid = identity
    return FixDetail(ispb, kind, cid, content["before"], content["after"])
