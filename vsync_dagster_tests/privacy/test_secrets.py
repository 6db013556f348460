"""The search itself: what it finds, in whatever form, and what it does not mistake for personal data."""

import base64
import gzip
import json
import zlib
from dataclasses import fields
from pathlib import Path
from urllib.parse import quote
from uuid import UUID

import polars as pl
import pytest

from vsync_dagster.local_db.database import Database
from vsync_dagster.reconcile.entry import Entry
from vsync_dagster.reconcile.keys import KeyType
from vsync_dagster_tests.privacy.places import in_database, in_folder, leaks_in
from vsync_dagster_tests.privacy.secrets import secret_entry, secrets_in

ISPB = "12345678"
ENTRIES = [secret_entry(number, ISPB, key_type) for number, key_type in enumerate(KeyType)]
PERSONAL = ("key", "account_number", "owner_tax_id", "owner_name", "owner_trade_name")
TEXTS = sorted({str(getattr(entry, name)) for entry in ENTRIES for name in PERSONAL if getattr(entry, name)})
IDS = [entry.request_id for entry in ENTRIES]


@pytest.mark.parametrize("text", [*TEXTS, *map(str, IDS)])
def test_a_secret_is_found_in_every_form(text: str) -> None:
    raw = text.encode()
    for form in (
        raw,
        raw.upper(),
        text.encode("utf-16-le"),
        json.dumps({"key": text}).encode(),
        json.dumps(json.dumps(text, ensure_ascii=False)).encode(),
        json.dumps(json.dumps(text)).encode(),
        repr(text).encode(),
        repr(raw).encode(),
        quote(text, safe="").encode(),
        raw.hex().encode(),
        raw.hex().upper().encode(),
        *(base64.b64encode(b"x" * before + raw + b"yz") for before in range(3)),
        *(base64.urlsafe_b64encode(b"\xff" * before + raw) for before in range(3)),
        zlib.compress(b"<" + raw),
        gzip.compress(b"<" + raw),
        zlib.compress(gzip.compress(raw)),
    ):
        assert secrets_in(b"before " + form + b" after" if form[:1] not in (b"\x1f", b"x") else form), form


@pytest.mark.parametrize("request_id", IDS)
def test_an_id_is_found_in_binary_too(request_id: UUID) -> None:
    for form in (request_id.bytes, request_id.hex.encode(), base64.b64encode(b"x" + request_id.bytes)):
        assert secrets_in(b"<" + form + b">")


def test_a_tax_id_is_found_as_people_write_it() -> None:
    assert secrets_in(b"975.318.642-01")
    assert secrets_in(b"97.531.864/2000-01")


def test_every_entry_can_be_recognised_by_each_of_its_attributes() -> None:
    impersonal = {"key_type", "participant", "branch", "account_type", "owner_type"}
    for entry in ENTRIES:
        for name in {field.name for field in fields(Entry)} - impersonal:
            text = str(getattr(entry, name) or "Ocultíssima")
            assert secrets_in(text.encode()) or name.endswith(("_at", "_since")), name


def test_what_is_not_personal_is_not_found(database: Database) -> None:
    with database.connect() as conn:
        keys = [[entry.key_type, entry.key] for entry in ENTRIES]
        masked = [conn.execute("select mask_key(%s, %s)", key).fetchone() for key in keys]
    told = [f"{entry.cid().hex()} {mask} {entry.participant}" for entry, mask in zip(ENTRIES, masked, strict=True)]
    assert not secrets_in("\n".join(told).encode())


@pytest.mark.parametrize(
    "statement",
    [
        "update dict_calls set result = %s",
        "update outbox set payload = jsonb_build_object('name', %s::text)",
        "create table left_over as select %s::bytea as body",
        "create schema left_over; create table left_over.rows as select convert_to(%s, 'UTF8') as body",
    ],
)
def test_a_leak_in_any_table_is_found(database: Database, statement: str) -> None:
    with database.connect() as conn:
        conn.execute("insert into outbox (participant_ispb, event_type, payload) values ('12345678', 'x', '{}')")
        conn.execute(
            "insert into dict_calls (participant_ispb, operation, called_at, duration_ms) values ('1', 'x', now(), 0)"
        )
    assert leaks_in(in_database(database)) == {}
    text = ENTRIES[0].key
    with database.connect() as conn:
        for part in statement.split("; "):
            conn.execute(part.replace("%s", f"'{text}'").encode())
    assert len(leaks_in(in_database(database))) == 1


def test_a_leak_in_any_file_is_found(tmp_path: Path) -> None:
    text = ENTRIES[0].owner_name
    (tmp_path / "a").mkdir()
    pl.DataFrame({"name": [text] * 100}).write_parquet(tmp_path / "a" / "part.parquet", compression="zstd")
    pl.DataFrame({"id": [IDS[0].bytes]}).write_parquet(tmp_path / "a" / "ids.parquet", compression="zstd")
    (tmp_path / "log.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / f"{ENTRIES[0].key}.tmp").touch()
    (tmp_path / "clean").write_text(ENTRIES[0].cid().hex())
    assert len(leaks_in(in_folder(tmp_path))) == 4
