"""The entries of a snapshot: written in blocks of any key type, and found again."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from vsync_dagster.assets import our_entries
from vsync_dagster.local_db.cid_rows import CidBlock
from vsync_dagster.partitions import SyncPartition
from vsync_dagster.store import SnapshotStore
from vsync_dagster.sync.local_sets import SnapshotEntries

PARTITION = SyncPartition(date(2026, 11, 24), "12345678")
ODD = "x/../../odd"
BLOCKS = [("CPF", 50), ("EVP", 30), (ODD, 1), ("CPF", 7)]


def block(key_type: str, count: int, seed: int) -> CidBlock:
    source = np.random.default_rng(seed)
    ids, cids = (np.frombuffer(source.bytes(count * width), np.uint8).reshape(-1, width) for width in (16, 32))
    return CidBlock(key_type, ids, cids, np.zeros(count, np.bool_))


@pytest.fixture
def blocks() -> list[CidBlock]:
    return [block(key_type, count, seed) for seed, (key_type, count) in enumerate(BLOCKS)]


def kept(folder: Path, blocks: list[CidBlock]) -> SnapshotEntries:
    store = SnapshotStore(str(folder))
    with store.write("local_snapshot", PARTITION, "run") as snapshot:
        write = our_entries.writer(snapshot)
        for each in blocks:
            write(each)
        snapshot.facts = PARTITION
    return our_entries.read(store.read("local_snapshot", PARTITION))


def test_each_key_types_cids_are_read_by_themselves(
    tmp_path: Path, blocks: list[CidBlock], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vsync_dagster.store._PART_ROWS", 20)
    entries = kept(tmp_path, blocks)
    for key_type in ("CPF", "EVP", ODD):
        held = b"".join(each.cids.tobytes() for each in blocks if each.key_type == key_type)
        assert b"".join(part.tobytes() for part in entries.cids(key_type)) == held
    assert list(entries.cids("PHONE")) == []
    assert {path.parent.parent.name for path in tmp_path.rglob("*.arrow")} == {"run"}


def test_rows_are_found_by_cid_and_by_entry_id(tmp_path: Path, blocks: list[CidBlock]) -> None:
    rows = [
        (each.key_type, entry_id.tobytes(), cid.tobytes())
        for each in blocks
        for entry_id, cid in zip(each.entry_ids, each.cids, strict=True)
    ]
    by_cid, by_id, by_both = rows[:60:7], rows[50:87:4], rows[82]
    entries = kept(tmp_path, blocks)
    found = entries.rows(
        [bytes(32), by_both[2], *(row[2] for row in by_cid)], [bytes(16), by_both[1], *(row[1] for row in by_id)]
    )
    assert sorted(found.rows()) == sorted({*by_cid, *by_id, by_both})
    assert entries.rows((), ()).is_empty()
    assert entries.among([rows[0][2], bytes(32), rows[80][2]]) == {rows[0][2], rows[80][2]}
