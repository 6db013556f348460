"""Where a CID file goes, and a file that is AVAILABLE and yet not there, through a whole sync."""

import time
from pathlib import Path

import pytest

from vsync_dagster.resources import SyncSettings
from vsync_dagster.simulator.drift import drift
from vsync_dagster.simulator.faults import FaultKind
from vsync_dagster.simulator.operations import Operation
from vsync_dagster_tests.world import ISPB, World


@pytest.fixture
def apart(world: World) -> World:
    """A participant with one CPF key that only DICT holds."""
    world.populate(25, key_types=["CPF"])
    drift(world.directory, None, ISPB, creates=1, key_types=["CPF"])
    world.settle()
    return world


def test_a_file_that_stays_404_is_given_up_for_another(apart: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SyncSettings, "sleep", lambda _, seconds: time.sleep(min(seconds, 0.5)))
    apart.directory.faults.add(Operation.DOWNLOAD_CID_SET_FILE, FaultKind.STATUS, times=3, status=404)

    report = apart.sync("FULL")

    assert (report.status, report.verified) == ("COMPLETED", True)
    assert apart.cids_here() == apart.cids_at_dict()
    assert apart.directory.calls.total(Operation.CREATE_CID_SET_FILE) == 2
    assert apart.directory.calls.total(Operation.DOWNLOAD_CID_SET_FILE, status=404) == 3


def test_a_file_goes_to_the_operators_folder_and_leaves_nothing_there(
    apart: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "disk" / "downloads"
    left = folder / f"cid-file-{ISPB}-CPF-killed"
    another = folder / "cid-file-87654321-CPF-at-work"
    for each in (left, another):
        each.mkdir(parents=True)
        (each / "cids.part").write_bytes(b"0" * 64)
    monkeypatch.setenv("VSYNC_DOWNLOAD_FOLDER", str(folder))

    assert apart.sync("FULL").status == "COMPLETED"

    assert apart.directory.calls.total(Operation.DOWNLOAD_CID_SET_FILE, status=200) == 1
    assert list(folder.iterdir()) == [another], "what a run of ours left is deleted, another participant's is not"


def test_a_folder_that_cannot_be_written_is_one_clear_line(
    apart: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("VSYNC_DOWNLOAD_FOLDER", str(tmp_path / "file"))

    report = apart.sync("FULL")

    assert report.status == "FAILED"
    assert report.error_message is not None
    assert "the CID file cannot be stored: File exists; look at VSYNC_DOWNLOAD_FOLDER" in report.error_message
