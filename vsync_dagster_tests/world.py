"""A participant, its database and a DICT over HTTP: what a sync needs, small and quick."""

import atexit
import base64
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from vsync_dagster.environment import Environment
from vsync_dagster.launch import Launcher
from vsync_dagster.local_db import participants
from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.reports import Report
from vsync_dagster.partitions import SyncPartition
from vsync_dagster.reconcile.cid import EntryAttributes, compute_cid
from vsync_dagster.reconcile.entry import Entry
from vsync_dagster.reconcile.keys import KeyType
from vsync_dagster.resources import SyncSettings
from vsync_dagster.simulator import cid_sets
from vsync_dagster.simulator.certificates import Certificates
from vsync_dagster.simulator.local_base import seed_local
from vsync_dagster.simulator.population import generate
from vsync_dagster.simulator.rows import HeldEntry
from vsync_dagster.simulator.server import running_simulator
from vsync_dagster.simulator.settings import Settings
from vsync_dagster.simulator.state import DictState
from vsync_dagster.simulator.times import to_ms

ISPB = "12345678"
DAY = date(2026, 11, 24)
# DICT's log lags by five seconds; here by less, on both sides alike, so that tests need not wait.
LAG = 0.3
ENCRYPTION_KEY = base64.urlsafe_b64encode(bytes(range(32))).decode()

_ATTRIBUTES = """
select entry_id, key_type, key, owner_tax_id, owner_name, owner_trade_name, participant_ispb, branch, account_number,
    account_type, request_id, cid
from entries where participant_ispb = %s and status = 'ACTIVE'
"""


@dataclass
class World:
    """Two sides of one participant, and the means to move them apart and to sync them."""

    database: Database
    directory: DictState
    variables: Environment
    instance: dg.DagsterInstance
    ispb: str = ISPB
    settings: dict[str, Any] = field(default_factory=lambda: {"log_lag_seconds": LAG})

    def join(self, ispb: str) -> None:
        """Have another participant take part on both sides, an indirect one: there is one certificate."""
        self.directory.participants.add(ispb, via=self.ispb)
        with self.database.connect() as connection:
            participants.add(connection, ispb, via=self.ispb)

    def populate(
        self, keys: int, *, key_types: list[str] | None = None, seed: int = 1, ispb: str | None = None
    ) -> None:
        """Give a participant keys, the same on both sides."""
        entries = list(generate(ispb or self.ispb, keys, seed, **({"key_types": key_types} if key_types else {})))
        self.directory.bulk_create(entries)
        with self.database.connect(bulk=True) as connection:
            seed_local(connection, entries)

    def list_at_dict(self, entry: Entry, key_type: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Have DICT list an entry's CID in our set of a key type, and answer with the entry, whatever it says."""
        held = HeldEntry(0, entry.cid(), entry, None)
        monkeypatch.setattr(self.directory, "entry_by_cid", {held.cid: held}.get)
        monkeypatch.setattr(self.directory.participants, "may_act_for", lambda *_: True)
        with self.directory.file.writing() as connection:
            cid_set = cid_sets.obtain(connection, self.ispb, key_type)
            cid_set.add(held.cid)
            at = cid_set.moment(to_ms(self.directory.now()))
            cid_sets.append_events(connection, [cid_set.logged("ADDED", held.cid, at)])
            cid_sets.save(connection, cid_set)

    def settle(self) -> None:
        """Wait until nothing counts as in flight any more, on a slow machine too."""
        time.sleep(LAG + 0.25)

    def sync(
        self, sync_type: str = "INCREMENTAL", *, day: date = DAY, ispb: str | None = None, **settings: object
    ) -> Report:
        """Run the job through Dagster, and return its report."""
        launcher = Launcher(self.variables, self._own_instance)
        chosen: dict[str, Any] = {"sync_type": sync_type, **self.settings, **settings}
        return launcher.sync(SyncPartition(day, ispb or self.ispb), SyncSettings(**chosen))

    def sql(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Run a statement as the participant's own systems would, and return its rows."""
        with self.database.connect() as connection:
            cursor = connection.execute(query.encode(), parameters)
            return cursor.fetchall() if cursor.description else []

    def cids_here(self, ispb: str | None = None) -> set[bytes]:
        """The CIDs of our active rows, computed from their attributes; the one stored must be the same."""
        held = set()
        for row in self.sql(_ATTRIBUTES, ispb or self.ispb):
            cid = compute_cid(EntryAttributes(*row[1:10]), row[10])
            assert cid == row[11], "a row does not hash to the CID beside it"
            held.add(cid)
        return held

    def cids_at_dict(self, ispb: str | None = None) -> set[bytes]:
        """The CIDs of DICT's set."""
        return {cid for key_type in KeyType for cid in self.directory.cids(ispb or self.ispb, key_type)}

    def key_of(self, key_type: str, number: int = 0) -> str:
        """One of our active keys of a type."""
        rows = self.sql("select key from entries where key_type = %s and status = 'ACTIVE' order by key", key_type)
        return str(rows[number][0])

    def calls(self, operation: str | None = None) -> int:
        """How many attempts of an operation, or of all, were made so far."""
        rows = self.sql(
            "select count(*) from dict_calls where %s::text is null or operation = %s", operation, operation
        )
        return int(rows[0][0])

    def _own_instance(self, _: Environment) -> AbstractContextManager[dg.DagsterInstance]:
        return nullcontext(self.instance)


@cache
def certificates() -> Certificates:
    """Both sides' certificates, made once in a process: RSA keys take their time."""
    folder = tempfile.mkdtemp(prefix="vsync-test-certificates-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Certificates(Path(folder))


@contextmanager
def running_world(
    database: Database,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings | None = None,
    ispb: str = ISPB,
    files_port: int = 0,
) -> Iterator[World]:
    """Run a DICT, point the environment at it and at the database, and register the participant."""
    settings = settings or Settings(log_lag=timedelta(seconds=LAG), file_delay=timedelta(0))
    with (
        DictState(folder / "dict.sqlite", now=lambda: datetime.now(UTC)) as state,
        running_simulator(state, settings, certificates(), files_port=files_port) as url,
        dg.DagsterInstance.ephemeral() as instance,
    ):
        state.participants.add(ispb)
        variables = {
            "VSYNC_HOME": str(folder / "home"),
            "VSYNC_DATABASE_URL": database.url,
            "VSYNC_DICT_URL": url,
            **certificates().variables(ispb),
            "VSYNC_ENCRYPTION_KEYS": ENCRYPTION_KEY,
        }
        for name in [name for name in os.environ if name.startswith("VSYNC_")]:
            monkeypatch.delenv(name)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        with database.connect() as connection:
            participants.add(connection, ispb)
        yield World(database, state, Environment(variables), instance, ispb)
