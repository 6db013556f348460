"""Thin Dagster resources: each hands out the plain object that does the work.

Addresses and secrets come from the environment variables of `vsync_dagster.environment`, read when a run needs them,
so that nothing of them reaches run config or Dagster's stored definitions. What a person may choose for one run is in
`SyncSettings`.
"""

import functools
import os
import time
from contextlib import AbstractContextManager
from datetime import UTC, datetime

import dagster as dg
from pydantic import Field, PrivateAttr

from vsync_dagster.alerts import relay as alerts
from vsync_dagster.alerts.targets import read_targets
from vsync_dagster.environment import Environment
from vsync_dagster.events.relay import RelayResult, relay
from vsync_dagster.local_db import leases
from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.encryption import Cipher
from vsync_dagster.local_db.leases import Fence, fenced
from vsync_dagster.partitions import SyncPartition
from vsync_dagster.reconcile.errors import PermanentError
from vsync_dagster.reconcile.mass_change import Limit, Permission
from vsync_dagster.reconcile.status import SyncType
from vsync_dagster.store import SnapshotStore, Writer
from vsync_dagster.sync.connection import DictConnection, connect_dict


def environment() -> Environment:
    """The environment variables of this process."""
    return Environment(os.environ)


def _fence_of(context: dg.InitResourceContext) -> Fence | None:
    """Return the fence of the run that a resource is for; what is no run of a partition has none."""
    partition = context.run.tags.get("dagster/partition") if context.run else None
    if context.run is None or partition is None:
        return None
    return Fence(SyncPartition.parse(partition).ispb, context.run.run_id)


class LocalDatabase(dg.ConfigurableResource[None]):
    """The participant's PostgreSQL (`VSYNC_DATABASE_URL`), behind the fence of the run that it is for."""

    _fence: Fence | None = PrivateAttr(default=None)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Learn which run it is."""
        self._fence = _fence_of(context)

    def database(self) -> Database:
        """Return the database; nothing is connected yet."""
        return Database(environment().database_url, guard=self._fence.check if self._fence else None)

    def cipher(self) -> Cipher:
        """Return what encrypts entries that are kept outside of `entries` (`VSYNC_ENCRYPTION_KEYS`)."""
        return Cipher(environment().encryption_keys)


class RetentionDatabase(dg.ConfigurableResource[None]):
    """The participant's PostgreSQL, as the login that may delete what is old (`VSYNC_RETENTION_DATABASE_URL`)."""

    def database(self) -> Database:
        """Return the database; nothing is connected yet."""
        return Database(environment().retention_database_url, variable=environment().retention_database_variable)


class Snapshots(dg.ConfigurableResource[None]):
    """Where snapshots are kept (`VSYNC_STORAGE_URL`); a run that was superseded can publish none."""

    _fence: Fence | None = PrivateAttr(default=None)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Learn which run it is."""
        self._fence = _fence_of(context)

    def store(self) -> SnapshotStore:
        """Return the store."""
        variables = environment()
        if self._fence is None:
            return SnapshotStore(variables.storage_url)
        database = Database(variables.database_url)
        is_ours = functools.partial(leases.had_lease, database)
        publishing = functools.partial(fenced, database, self._fence)
        return SnapshotStore(variables.storage_url, publishing, Writer(self._fence.run_id, is_ours))


class DictApi(dg.ConfigurableResource[None]):
    """DICT (`VSYNC_DICT_URL`), within its budgets, every call written down in `dict_calls`."""

    def connect(self, database: Database, ispb: str, run_id: str) -> AbstractContextManager[DictConnection]:
        """Connect as a participant, or as the direct participant that acts for it."""
        return connect_dict(environment(), database, ispb, run_id)

    @property
    def why_unverified(self) -> str | None:
        """Why DICT's answers are believed without its signature; None where they must carry it."""
        return environment().why_unverified


class EventBroker(dg.ConfigurableResource[None]):
    """Pulsar (`VSYNC_PULSAR_URL`, `VSYNC_PULSAR_TOPIC`)."""

    def publish(self, database: Database) -> RelayResult | None:
        """Publish what waits in the outbox; None without a broker, where it waits on."""
        variables = environment()
        if variables.pulsar_url is None:
            return None
        return relay(database, variables.pulsar_url, variables.pulsar_topic, describe=variables.with_link)

    def publish_for(self, database: Database, seconds: float) -> RelayResult | None:
        """Publish what waits in the outbox, as much as takes that long, and do not wait for a broker that is down."""
        variables = environment()
        if variables.pulsar_url is None:
            return None
        end = time.monotonic() + seconds
        return relay(
            database,
            variables.pulsar_url,
            variables.pulsar_topic,
            attempts=1,
            timeout=5,
            enough=lambda: time.monotonic() > end,
            describe=variables.with_link,
        )


class AlertTargets(dg.ConfigurableResource[None]):
    """Whom alerts are told (`VSYNC_ALERT_URLS`, `VSYNC_ALERTMANAGER_URL`)."""

    def relay(self, database: Database, seconds: float) -> alerts.RelayResult | None:
        """Tell each target what waits for it, for so many seconds at most; None without a target."""
        targets = read_targets(environment())
        return alerts.relay(database, targets, seconds=seconds) if targets else None


class SyncSettings(dg.ConfigurableResource[None]):
    """What a person may choose for one run. The defaults are those of the daily sync."""

    sync_type: str = Field(
        default=SyncType.INCREMENTAL.value,
        description="INCREMENTAL follows the event log since the last verification; FULL compares with the CID file"
        " and recomputes every CID.",
    )
    since: str | None = Field(
        default=None,
        description="INCREMENTAL only: read DICT's event log from this time (ISO 8601) instead of from the last"
        " verification.",
    )
    dry_run: bool = Field(default=False, description="Change nothing; report what would be done.")
    batch_size: int = Field(default=5_000, ge=1, le=100_000, description="Fixes in one transaction.")
    log_lag_seconds: float = Field(
        default=5.0, ge=0, description="How long DICT's event log may lag behind a change, in seconds."
    )
    max_file_bytes: int = Field(
        default=65_000_000_000, ge=1, description="The largest CID file to accept, in bytes (65 a key)."
    )

    mass_change_share: float = Field(
        default=0.05, ge=0, le=1, description="The share of a participant's keys that a sync may change unasked."
    )
    mass_change_keys: int = Field(
        default=1_000, ge=0, description="As many keys it may change unasked, whatever their share."
    )
    allow_mass_change: bool = Field(
        default=False,
        description="Let this one run change more keys than that; `allowed_by` and `reason` must say who and why.",
    )
    allowed_by: str | None = Field(default=None, description="Who allows a mass change, for the audit trail.")
    reason: str | None = Field(
        default=None, description="Why a mass change is right, for the audit trail; without keys or names."
    )

    publish: bool = Field(
        default=True,
        description="Publish what waits in the outbox before the run ends; `vsync sync` does so later.",
    )

    def check(self) -> None:
        """Check what Dagster's own types do not.

        Raises:
            PermanentError: the sync type or the time is none, or a mass change is allowed without a reason.
        """
        _ = self.type, self.since_time, self.mass_change_permission

    @property
    def mass_change_limit(self) -> Limit:
        """What this run may change unasked."""
        return Limit(self.mass_change_share, self.mass_change_keys)

    @property
    def mass_change_permission(self) -> Permission | None:
        """Who lets this run change more, and why; None where nobody does.

        Raises:
            PermanentError: it is allowed without a reason, or by nobody.
        """
        if not self.allow_mass_change:
            return None
        if not (self.reason and self.reason.strip() and self.allowed_by and self.allowed_by.strip()):
            raise PermanentError("allow_mass_change needs allowed_by and a reason", code="run-configuration")
        return Permission(self.allowed_by, self.reason)

    @property
    def type(self) -> SyncType:
        """The sync type.

        Raises:
            PermanentError: it is neither FULL nor INCREMENTAL.
        """
        try:
            return SyncType(self.sync_type)
        except ValueError:
            raise PermanentError("sync_type is FULL or INCREMENTAL", code="run-configuration") from None

    @property
    def since_time(self) -> datetime | None:
        """The time to read the event log from, if one was given; without a zone it is UTC.

        Raises:
            PermanentError: it is not a time.
        """
        if self.since is None:
            return None
        try:
            time_given = datetime.fromisoformat(self.since)
        except ValueError:
            raise PermanentError("since is a time such as 2026-11-24T02:00:00Z", code="run-configuration") from None
        return time_given if time_given.tzinfo else time_given.replace(tzinfo=UTC)

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)
