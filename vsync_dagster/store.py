"""Where snapshots are kept: parts and a manifest, in a folder or any fsspec store.

Parts are Parquet, which every tool reads; those of a table that holds all of a participant's keys are Arrow IPC, which
is written and read nearly as fast as memory is copied.

A snapshot's parts are written under the run that makes it; its manifest is written last and replaces the one before,
so that a reader sees a whole snapshot or the one before it, and never half of one. Snapshots hold CIDs and entry ids,
never personal data.
"""

import io
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal, TypeVar
from urllib.parse import quote, urlsplit
from uuid import uuid4

import fsspec
import polars as pl
from pydantic import TypeAdapter

from vsync_dagster.partitions import SyncPartition
from vsync_dagster.reconcile.errors import PermanentError, RefusedError, VsyncError

_PART_ROWS = 131_072
Kind = Literal["parquet", "arrow"]
Facts = TypeVar("Facts")


class SnapshotMissingError(PermanentError):
    """A snapshot that an asset builds on was never made."""


class AnotherInstallationError(RefusedError):
    """A snapshot was written by a run that this installation's database does not know."""


class SnapshotMismatchError(RefusedError):
    """Two snapshots of one partition do not belong together."""


class StorageNotWritableError(PermanentError):
    """The store takes no file, or gives none."""

    code = "storage"


@dataclass(frozen=True, slots=True)
class Writer:
    """The run that a store is for, and whether a run is one of this installation's.

    Two installations can share a storage by mistake: a copy of a database for tests takes the settings along.
    """

    run_id: str
    is_ours: Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A stored snapshot: its facts, and its tables by name."""

    snapshot_id: str
    _facts: dict[str, Any]
    _parts: dict[str, list[str]]
    _filesystem: fsspec.AbstractFileSystem

    def facts(self, kind: type[Facts]) -> Facts:
        """Return what the snapshot says of itself, as the dataclass that it was written from."""
        return TypeAdapter(kind).validate_json(json.dumps(self._facts))

    @property
    def tables(self) -> list[str]:
        """The names of its tables."""
        return list(self._parts)

    def scan(self, table: str, schema: pl.Schema) -> pl.LazyFrame:
        """Return a table of the snapshot; one without rows has the given columns all the same."""
        return pl.concat([pl.LazyFrame(schema=schema), *self.parts(table, schema)])

    def parts(self, table: str, schema: pl.Schema) -> Iterator[pl.LazyFrame]:
        """Yield a table part by part, for one that is too large for memory."""
        for path in self._parts[table]:
            scan = _scan_arrow if path.endswith(".arrow") else pl.scan_parquet
            yield scan(self._source(path), schema=schema)

    def _source(self, path: str) -> str | io.BytesIO:
        if _is_local(self._filesystem):
            return path
        with _storage("read"):
            return io.BytesIO(self._filesystem.cat_file(path))


@dataclass(slots=True)
class TableWriter:
    """Writes a table block by block, in parts of bounded size: memory does not grow with the table."""

    _filesystem: fsspec.AbstractFileSystem
    _folder: str
    _kind: Kind
    _blocks: list[pl.DataFrame] = field(default_factory=list)
    _rows: int = 0
    parts: list[str] = field(default_factory=list)

    def write(self, block: pl.DataFrame) -> None:
        """Append rows."""
        self._blocks.append(block)
        self._rows += len(block)
        if self._rows >= _PART_ROWS:
            self.close()

    def close(self) -> None:
        """Write what is still in memory."""
        if not self._rows:
            return
        path = f"{self._folder}/part-{len(self.parts):05}.{self._kind}"
        rows = pl.concat(self._blocks)
        with _storage("written"):
            self._filesystem.makedirs(self._folder, exist_ok=True)
            self._write_rows(rows, path)
        self.parts.append(path)
        self._blocks, self._rows = [], 0

    def _write_rows(self, rows: pl.DataFrame, path: str) -> None:
        with self._target(path) as target:
            # Ids and CIDs are random: compressing them took six times as long as this, to save an eighth.
            if self._kind == "arrow":
                rows.write_ipc(target, compression="uncompressed")
            else:
                rows.write_parquet(target, compression="uncompressed")

    def _target(self, path: str) -> AbstractContextManager[Any]:
        # Polars writes a file of its own three times as fast as one that it is handed.
        return nullcontext(path) if _is_local(self._filesystem) else self._filesystem.open(path, "wb")


@dataclass(slots=True)
class SnapshotWriter:
    """A snapshot being written; nobody sees it before its manifest is there. `facts` is a dataclass."""

    _filesystem: fsspec.AbstractFileSystem
    _folder: str
    facts: object = None
    _tables: dict[str, TableWriter] = field(default_factory=dict)

    def table(self, name: str, kind: Kind = "parquet") -> TableWriter:
        """Return the writer of one of the snapshot's tables, whose name may be any text."""
        folder = f"{self._folder}/{quote(name, safe='')}"
        return self._tables.setdefault(name, TableWriter(self._filesystem, folder, kind))

    def parts(self) -> dict[str, list[str]]:
        """Finish all tables and return the paths of their parts."""
        for writer in self._tables.values():
            writer.close()
        return {name: writer.parts for name, writer in self._tables.items()}


class SnapshotStore:
    """Snapshots by asset and partition, under `<root>/<asset>/date=YYYY-MM-DD/ispb=ISPB/`.

    No two participants' ISPBs differ in the case of letters alone (`reconcile.ispb`): on a file system that does not
    tell the cases apart, they would share a folder.
    """

    def __init__(
        self,
        url: str,
        publishing: Callable[[], AbstractContextManager[None]] = nullcontext,
        writer: Writer | None = None,
    ) -> None:
        """Take a folder's path or an fsspec URL, such as `s3://bucket/prefix`.

        A snapshot takes its place inside `publishing()`, which may refuse that. With a `writer`, a snapshot of another
        installation is neither read nor replaced.

        Raises:
            PermanentError: the URL names a kind of store that is not installed here.
        """
        try:
            self._filesystem, root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError):
            scheme = urlsplit(url).scheme or "file"
            raise PermanentError(
                f"VSYNC_STORAGE_URL names a {scheme}:// store, for which no fsspec driver is installed", code="storage"
            ) from None
        self._root = root.rstrip("/")
        self._publishing = publishing
        self._writer = writer

    @contextmanager
    def write(self, asset: str, partition: SyncPartition, snapshot_id: str) -> Iterator[SnapshotWriter]:
        """Write a snapshot; it takes its place when the block ends without an error."""
        folder = self._folder(asset, partition)
        writer = SnapshotWriter(self._filesystem, f"{folder}/{snapshot_id}")
        yield writer
        facts = json.loads(TypeAdapter(type(writer.facts)).dump_json(writer.facts))
        manifest = {
            "snapshot_id": snapshot_id,
            "run_id": self._writer.run_id if self._writer else None,
            "facts": facts,
            "tables": writer.parts(),
        }
        with _storage("written"):
            self._filesystem.makedirs(folder, exist_ok=True)
            with self._filesystem.open(f"{folder}/manifest.json.{snapshot_id}", "w") as file:
                json.dump(manifest, file, indent=1)
        with self._publishing():
            if self._filesystem.exists(f"{folder}/manifest.json"):
                self._manifest(asset, partition)
            self._filesystem.mv(f"{folder}/manifest.json.{snapshot_id}", f"{folder}/manifest.json")

    def read(self, asset: str, partition: SyncPartition) -> Snapshot:
        """Return the partition's latest snapshot.

        Raises:
            SnapshotMissingError: there is none.
            AnotherInstallationError: it is another installation's.
        """
        manifest = self._manifest(asset, partition)
        return Snapshot(manifest["snapshot_id"], manifest["facts"], manifest["tables"], self._filesystem)

    def _manifest(self, asset: str, partition: SyncPartition) -> dict[str, Any]:
        try:
            with self._filesystem.open(f"{self._folder(asset, partition)}/manifest.json", "r") as file:
                manifest: dict[str, Any] = json.load(file)
        except FileNotFoundError:
            raise SnapshotMissingError(
                f"there is no {asset} for {partition.ispb} on {partition.day}: materialize it first"
            ) from None
        run_id = manifest.get("run_id")
        if self._writer and run_id != self._writer.run_id and not (run_id and self._writer.is_ours(run_id)):
            raise AnotherInstallationError(
                f"the {asset} of {partition.ispb} on {partition.day} in VSYNC_STORAGE_URL was written by another"
                f" installation (run {run_id}): give each installation a VSYNC_STORAGE_URL of its own"
            )
        return manifest

    def check_writable(self) -> None:
        """Write a small file into the store and delete it.

        Raises:
            StorageNotWritableError: that failed; the text names the variable and the kind of failure.
        """
        probe = f"{self._root}/.vsync-{uuid4()}"
        with _storage("written"):
            self._filesystem.makedirs(self._root, exist_ok=True)
            self._filesystem.pipe_file(probe, b"vsync")
            self._filesystem.rm_file(probe)

    def outdated(self, before: date, idle_since: datetime) -> list[str]:
        """Return the folders that need be kept no longer: of days before a day, and of snapshots that were replaced.

        A folder in which something was written after `idle_since` (with its zone) is none: a snapshot may be under way.
        """
        days = [path for asset in self._children(self._root) for path in self._children(asset)]
        gone = [path for path in days if _day_of(path) < before]
        partitions = [path for day in days if day not in gone for path in self._children(day)]
        replaced = [path for partition in partitions for path in self._replaced(partition, idle_since)]
        return gone + replaced

    def remove(self, folder: str) -> None:
        """Remove a folder with all that is in it."""
        self._filesystem.rm(folder, recursive=True)

    def _replaced(self, partition: str, idle_since: datetime) -> list[str]:
        manifest = f"{partition}/manifest.json"
        kept = None
        if self._filesystem.exists(manifest):
            with self._filesystem.open(manifest, "r") as file:
                kept = f"{partition}/{json.load(file)['snapshot_id']}"
        return [path for path in self._children(partition) if path != kept and self._idle(path, idle_since)]

    def _idle(self, folder: str, since: datetime) -> bool:
        return all(self._filesystem.modified(path) < since for path in self._filesystem.find(folder))

    def _children(self, folder: str) -> list[str]:
        """Return the folders in a folder, none where it does not exist."""
        try:
            found = self._filesystem.ls(folder, detail=True)
        except FileNotFoundError:
            return []
        return [entry["name"].rstrip("/") for entry in found if entry["type"] == "directory"]

    def _folder(self, asset: str, partition: SyncPartition) -> str:
        return f"{self._root}/{asset}/date={partition.day.isoformat()}/ispb={partition.ispb}"


@contextmanager
def _storage(doing: str) -> Iterator[None]:
    """Turn what a store raises, and Polars where it writes to one, into an error that names the variable.

    Raises:
        StorageNotWritableError: the block failed. The text of a store's own error is left out: it may hold secrets.
    """
    try:
        yield
    except (VsyncError, FileNotFoundError):
        raise
    except Exception as error:  # noqa: BLE001
        raise StorageNotWritableError(
            f"the storage of snapshots cannot be {doing} ({_reason(error)}): check VSYNC_STORAGE_URL (by default"
            " `snapshots` below VSYNC_HOME), its permissions, its credentials and its free space"
        ) from None


def _reason(error: Exception) -> str:
    """Return what may be said of a store's error: its class, and the operating system's reason without a path."""
    reason = error.strerror if isinstance(error, OSError) and isinstance(error.strerror, str) else None
    # Polars, and libraries written in Rust, have the operating system's number in their text.
    number = re.search(r"os error ([0-9]{1,4})", str(error))
    reason = reason or (os.strerror(int(number[1])) if number else None)
    return f"{type(error).__name__}: {reason}" if reason else type(error).__name__


def _is_local(filesystem: fsspec.AbstractFileSystem) -> bool:
    return "file" in filesystem.protocol


def _scan_arrow(source: str | io.BytesIO, *, schema: pl.Schema) -> pl.LazyFrame:
    part = pl.scan_ipc(source)
    # `scan_parquet` sees to this itself.
    if part.collect_schema() != schema:
        raise pl.exceptions.SchemaError("a part of a snapshot has other columns than were asked for")
    return part


def _day_of(folder: str) -> date:
    """Return the day of `…/date=YYYY-MM-DD`; of another folder, which is none of ours, the last there is."""
    name, _, day = folder.rpartition("/")[2].partition("=")
    try:
        return date.fromisoformat(day) if name == "date" else date.max
    except ValueError:
        return date.max
