"""The CIDs of a snapshot: written in blocks of any key type, and read again by it."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from vsync_dagster.assets import our_cids
from vsync_dagster.local_db.cid_rows import CidBlock
from vsync_dagster.partitions import SyncPartition
from vsync_dagster.store import SnapshotStore
from vsync_dagster.sync.local_sets import SnapshotCids

PARTITION = SyncPartition(date(2026, 11, 24), "12345678")
ODD = "x/../../odd"
BLOCKS = [("CPF", 50), ("EVP", 30), (ODD, 1), ("CPF", 7)]


def block(key_type: str, count: int, seed: int) -> CidBlock:
    cids = np.frombuffer(np.random.default_rng(seed).bytes(count * 32), np.uint8).reshape(-1, 32)
    return CidBlock(key_type, cids, np.empty((0, 16), np.uint8), np.empty((0, 32), np.uint8))


@pytest.fixture
def blocks() -> list[CidBlock]:
    return [block(key_type, count, seed) for seed, (key_type, count) in enumerate(BLOCKS)]


def kept(folder: Path, blocks: list[CidBlock]) -> SnapshotCids:
    store = SnapshotStore(str(folder))
    with store.write("local_snapshot", PARTITION, "run") as snapshot:
        write = our_cids.writer(snapshot)
        for each in blocks:
            write(each)
        snapshot.facts = PARTITION
    return our_cids.read(store.read("local_snapshot", PARTITION))


def test_each_key_types_cids_are_read_by_themselves(
    tmp_path: Path, blocks: list[CidBlock], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vsync_dagster.store._PART_ROWS", 20)
    cids = kept(tmp_path, blocks)
    for key_type in ("CPF", "EVP", ODD):
        held = b"".join(each.cids.tobytes() for each in blocks if each.key_type == key_type)
        assert b"".join(part.tobytes() for part in cids.of(key_type).blocks()) == held
    assert list(cids.of("PHONE").blocks()) == []
    assert {path.parent.parent.name for path in tmp_path.rglob("*.arrow")} == {"run"}
