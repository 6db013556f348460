"""The folders of an embedded server: its own below VSYNC_HOME, and that of the wheel its program comes in."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import IO

from vsync_dagster.reconcile.errors import PermanentError, TransientError


@contextmanager
def held(folder: Path) -> Iterator[Path]:
    """Make `folder` if it is missing, hold it, and yield its absolute path.

    The lock is the operating system's: it ends with the process that holds it, so that none can be stale.

    Raises:
        TransientError: another process holds the folder.
        PermanentError: the folder cannot be made or written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (folder / "lock").open("a+", encoding="ascii")
    except OSError as error:
        raise PermanentError(
            f"cannot use {folder}: {error.strerror}; set VSYNC_HOME to a folder of yours", code="embedded-server"
        ) from None
    with lock:
        _lock(lock, folder)
        yield folder.resolve()


def wheel_folder(package: str) -> Path:
    """Return the folder of an installed package without importing it: these packages do work when imported.

    Raises:
        PermanentError: the package is not installed.
    """
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise PermanentError(f"the package {package} is not installed: run `make install`", code="embedded-server")
    return Path(spec.origin).parent


def _lock(lock: IO[str], folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        holder = lock.read().strip() or "unknown"
        raise TransientError(
            f"{folder} is in use by process {holder}: stop that one, or set VSYNC_HOME to another folder",
            code="embedded-server",
        ) from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
