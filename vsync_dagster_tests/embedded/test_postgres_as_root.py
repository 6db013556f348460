"""Started by root: PostgreSQL runs as a user of its own, and no private folder is opened for it."""

import os
import pwd
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from vsync_dagster.embedded import postgres_place
from vsync_dagster.embedded.folder import wheel_folder
from vsync_dagster.embedded.postgres import embedded_postgres
from vsync_dagster.embedded.postgres_place import PACKAGE, SYSTEM_USER, find_place
from vsync_dagster.reconcile.errors import PermanentError

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="shows what happens as root")


def test_data_live_below_var_tmp_and_the_log_says_where(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    home.mkdir(mode=0o700)
    before = [parent.stat().st_mode for parent in (home, *home.parents)]
    with embedded_postgres(home) as url:
        place = find_place((home / "postgres").resolve())
        with psycopg.connect(url) as connection:
            row = connection.execute("SHOW data_directory").fetchone()
    assert row == (str(place.data),)
    assert place.base.parent == Path("/var/tmp")  # noqa: S108
    assert f"keeps its data in {place.base}" in caplog.text
    assert [parent.stat().st_mode for parent in (home, *home.parents)] == before
    assert not any((home / "postgres").rglob("PG_VERSION"))
    assert pwd.getpwuid(place.cluster.stat().st_uid).pw_name == SYSTEM_USER
    assert stat.S_IMODE(place.cluster.stat().st_mode) == 0o700


@pytest.fixture
def private_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Install the wheel in a folder that nobody but root may enter, as in a clone below /root."""
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    original = wheel_folder(PACKAGE)
    shutil.copytree(original / "pginstall", private / PACKAGE / "pginstall", symlinks=True)
    shutil.copytree(original.with_name(f"{PACKAGE}.libs"), private / f"{PACKAGE}.libs", symlinks=True)
    monkeypatch.setattr(postgres_place, "wheel_folder", lambda package: private / package)
    yield private
    shutil.rmtree(private)


def test_programs_in_a_private_folder_are_copied(home: Path, private_programs: Path) -> None:
    with embedded_postgres(home) as url:
        psycopg.connect(url).close()
        place = find_place((home / "postgres").resolve())
    assert place.programs.is_relative_to(place.base)
    assert stat.S_IMODE(private_programs.stat().st_mode) == 0o700
    with embedded_postgres(home) as url:
        psycopg.connect(url).close()


@pytest.mark.parametrize("kind", ["symlink", "folder of another user"])
def test_a_folder_that_someone_laid_there_is_refused(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_place, "SHARED_ROOT", tmp_path)
    folder = tmp_path / "home" / "postgres"
    trap = find_place(folder).base
    trap.rmdir()
    if kind == "symlink":
        trap.symlink_to(tmp_path)
    else:
        trap.mkdir()
        os.chown(trap, 65534, 65534)
    with pytest.raises(PermanentError, match="is not root's own folder: remove it"):
        find_place(folder)


def test_without_a_way_to_make_the_user_it_says_what_to_do(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(postgres_place, "SYSTEM_USER", "vsync-no-such-user")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PermanentError, match="run as an ordinary user, or set VSYNC_DATABASE_URL"):
        find_place(home)
