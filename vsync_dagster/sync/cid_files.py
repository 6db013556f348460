"""Getting a participant's CID files: asked for once, kept by Id, downloaded and checked."""

import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

import httpx

from vsync_dagster.dict_api.cid_file import DownloadRule, download, wait_for_file
from vsync_dagster.dict_api.client import DictClient
from vsync_dagster.dict_api.errors import KEY_TYPE_ERRORS, CidFileError, DictNotFoundError
from vsync_dagster.dict_api.messages import CidSetFile
from vsync_dagster.local_db import cid_files
from vsync_dagster.local_db.database import Database
from vsync_dagster.progress import log_wait
from vsync_dagster.reconcile.errors import BudgetExhaustedError, PermanentError
from vsync_dagster.sync.allowance import Allowance

_log = logging.getLogger(__name__)

_FILES_TO_TRY = 2


@dataclass(frozen=True, slots=True)
class CidFiles:
    """The CID files of one participant's sync of one day.

    The Id of a file that was asked for is kept at once, under that sync: a run that is repeated after a crash goes on
    with the same file, since DICT makes only 40 a day and knows no way to list them.
    """

    client: DictClient
    http: httpx.Client
    database: Database
    ispb: str
    sync_day: date
    downloads: DownloadRule
    max_bytes: int
    lag: float
    allowance: Allowance
    download_folder: Path
    min_rate: float
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    failures: dict[str, str] = field(default_factory=dict)
    fetched: dict[str, CidSetFile] = field(default_factory=dict)

    def ask(self, key_types: Iterable[str]) -> dict[str, int]:
        """Ask for the files of several key types, so that DICT makes them side by side; returns their Ids.

        Those that DICT's budget does not grant in time are left out; so are those that DICT cannot make, of which
        `failures` tells why.
        """
        kept = {key_type: self._kept(key_type) for key_type in key_types}
        asked = {key_type: file_id for key_type, file_id in kept.items() if file_id is not None}
        new = [key_type for key_type in kept if key_type not in asked]
        try:
            for key_type in new[: self.allowance.cid_files()] if new else []:
                try:
                    asked[key_type] = self._ask(key_type)
                except KEY_TYPE_ERRORS as error:
                    _log.warning("%s: %s", key_type, error)
                    self.failures[key_type] = str(error)
        except BudgetExhaustedError as error:
            _log.warning("%s", error)
        return asked

    def fetch(self, key_type: str, file_id: int, target: Path) -> datetime:
        """Wait for a file, download it to `target` and return when DICT made it.

        Another is asked for if DICT gives this one up.

        Raises:
            CidFileError: no file could be had.
            CidFileContentError: the file is larger than permitted.
        """
        for attempts_left in reversed(range(_FILES_TO_TRY)):
            try:
                return self._fetch(key_type, file_id, target)
            except (CidFileError, DictNotFoundError) as error:
                if not attempts_left or not _needs_another(error):
                    raise
                _log.warning("%s: %s; asking for another", key_type, error)
                self._close(key_type)
                file_id = self._ask(key_type)
        raise AssertionError("unreachable")

    def _fetch(self, key_type: str, file_id: int, target: Path) -> datetime:
        file = wait_for_file(self.client, file_id, key_type, sleep=self.sleep)
        created_at = _creation_time(file)
        download(
            self.http,
            file,
            target,
            rule=self.downloads,
            max_bytes=self.max_bytes,
            min_rate=self.min_rate,
            sleep=self.sleep,
        )
        self.fetched[key_type] = file
        # What happened just before the file was made is in the log only after its lag.
        lagging = max(0.0, self.lag - (self.now() - created_at).total_seconds())
        log_wait(_log, lagging, "DICT's event log to catch up")
        self.sleep(lagging)
        return created_at

    @contextmanager
    def folder(self, key_type: str) -> Iterator[Path]:
        """Make a folder for the file of a key type, and delete it afterwards, with what a run that died has left.

        Raises:
            PermanentError: there can be none in `VSYNC_DOWNLOAD_FOLDER`.
        """
        prefix = f"cid-file-{self.ispb}-{key_type}-"
        try:
            self.download_folder.mkdir(parents=True, exist_ok=True)
            # One run at a time has the participant's lease: nobody reads what is there already.
            for left in self.download_folder.glob(f"{prefix}*"):
                shutil.rmtree(left, ignore_errors=True)
            made = tempfile.TemporaryDirectory(prefix=prefix, dir=self.download_folder)
        except OSError as error:
            raise PermanentError(
                f"the CID file cannot be stored: {error.strerror}; look at VSYNC_DOWNLOAD_FOLDER", code="storage"
            ) from None
        with made as name:
            yield Path(name)

    def _kept(self, key_type: str) -> int | None:
        kept = self.database.retrying(
            lambda connection: cid_files.open_file(connection, self.ispb, key_type, self.sync_day)
        )
        return kept.file_id if kept else None

    def _ask(self, key_type: str) -> int:
        file = self.client.create_cid_set_file(key_type).cid_set_file
        # One commit, right away: what is paid for must survive this process.
        self.database.retrying(
            lambda connection: cid_files.keep(
                connection, self.ispb, key_type, self.sync_day, file.id, file.request_time
            )
        )
        return file.id

    def _close(self, key_type: str) -> None:
        self.database.retrying(lambda connection: cid_files.close(connection, self.ispb, key_type, self.sync_day))


def _needs_another(error: CidFileError | DictNotFoundError) -> bool:
    return isinstance(error, DictNotFoundError) or error.ask_again


def _creation_time(file: CidSetFile) -> datetime:
    # A file without its time is taken to be as old as its request: the log is then read from there.
    return file.creation_time or file.request_time
