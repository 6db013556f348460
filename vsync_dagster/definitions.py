"""Assembly of the code location; nothing is decided here."""

from collections.abc import Mapping

import dagster as dg

from vsync_dagster.assets.applied_fixes import applied_fixes
from vsync_dagster.assets.bacen_snapshot import bacen_snapshot
from vsync_dagster.assets.discrepancies import discrepancies
from vsync_dagster.assets.local_snapshot import local_snapshot
from vsync_dagster.assets.sync_report import sync_report
from vsync_dagster.checks import Thresholds, thresholds
from vsync_dagster.jobs import sync_job
from vsync_dagster.resources import (
    AlertTargets,
    DictApi,
    EventBroker,
    LocalDatabase,
    RetentionDatabase,
    Snapshots,
    SyncSettings,
)
from vsync_dagster.retention import retention_job, retention_schedule
from vsync_dagster.schedules import daily_sync, weekly_full_sync
from vsync_dagster.sensors.alert_relay import alert_relay
from vsync_dagster.sensors.ended_syncs import failed_syncs, succeeded_syncs
from vsync_dagster.sensors.exceeded_thresholds import exceeded_thresholds
from vsync_dagster.sensors.lost_syncs import lost_syncs
from vsync_dagster.sensors.new_participants import new_participants
from vsync_dagster.sensors.outbox_relay import outbox_relay
from vsync_dagster.sensors.verification_clock import verification_clock


def build_definitions(resource_overrides: Mapping[str, object] | None = None) -> dg.Definitions:
    """Return the code location, with other resources where a test brings its own."""
    return dg.Definitions(
        assets=[local_snapshot, bacen_snapshot, discrepancies, applied_fixes, sync_report],
        asset_checks=[thresholds],
        jobs=[sync_job, retention_job],
        schedules=[daily_sync, weekly_full_sync, retention_schedule],
        sensors=[
            alert_relay,
            exceeded_thresholds,
            failed_syncs,
            lost_syncs,
            new_participants,
            outbox_relay,
            succeeded_syncs,
            verification_clock,
        ],
        resources={
            "local_database": LocalDatabase(),
            "retention_database": RetentionDatabase(),
            "dict_api": DictApi(),
            "snapshots": Snapshots(),
            "event_broker": EventBroker(),
            "alert_targets": AlertTargets(),
            "settings": SyncSettings(),
            "thresholds": Thresholds(),
            **(resource_overrides or {}),
        },
        executor=dg.in_process_executor,
    )


defs = build_definitions()
