"""Tells of every check of a sync's figures that failed, once, and takes it back when a later sync passes it."""

import time
from collections.abc import Callable, Iterable

import dagster as dg

from vsync_dagster.local_db import alerts
from vsync_dagster.local_db.alerts import Alert, Severity
from vsync_dagster.local_db.database import Connection
from vsync_dagster.partitions import SyncPartition
from vsync_dagster.resources import LocalDatabase, environment

NAMES = {
    "duration_seconds": "VSyncSlow",
    "discrepancies": "VSyncHighDiscrepancies",
    "error_rate": "VSyncErrorRate",
    "fixes_failed": "VSyncFixesFailed",
    "missing_bacen": "VSyncMissingBacen",
    "proved": "VSyncNotProved",
    "whole": "VSyncPartial",
    "nothing_tampered": "VSyncTampered",
}
_TITLES = {
    "proved": "the sync of {day} did not prove that both sides hold the same keys",
    "whole": "the sync of {day} left something undone (PARTIAL)",
    "nothing_tampered": "the sync of {day} found {value:g} rows that were changed beneath their CID",
}
# Somebody, or something, wrote to the table by another way than the systems that know the CID.
_CRITICAL = {"nothing_tampered"}
AT_ONCE = 500
# Events are numbered before they are committed: a younger one may still come in below a number that is seen already.
SETTLED_S = 10.0


@dg.sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Raises an alert for each check of a sync's figures that failed. Starts no run.",
)
def exceeded_thresholds(context: dg.SensorEvaluationContext, local_database: LocalDatabase) -> dg.SkipReason:
    """Read on from the last event, in order; the cursor moves only once the alerts are committed."""
    records = settled(context.instance, int(context.cursor or 0), time.time)
    if not records:
        return dg.SkipReason("no new check")
    local_database.database().retrying(lambda connection: tell(connection, records))
    context.update_cursor(str(records[-1].storage_id))
    return dg.SkipReason(f"{len(records)} checks read")


def settled(instance: dg.DagsterInstance, after: int, now: Callable[[], float]) -> list[dg.EventLogRecord]:
    """Return the next evaluations of checks, up to the first that is too young to be sure that none is missed."""
    wanted = dg.EventRecordsFilter(dg.DagsterEventType.ASSET_CHECK_EVALUATION, after_cursor=after)
    # Deprecated for Dagster 2, and in 1.13 the only way to read every evaluation in order.
    records = instance.get_event_records(wanted, limit=AT_ONCE, ascending=True)
    young = (place for place, record in enumerate(records) if now() - record.timestamp < SETTLED_S)
    return list(records[: next(young, len(records))])


def tell(connection: Connection, records: Iterable[dg.EventLogRecord]) -> None:
    """Raise and resolve alerts in the order of the evaluations, in the caller's transaction."""
    for record in records:
        evaluation = record.event_log_entry.asset_check_evaluation
        if evaluation is None or evaluation.partition is None or evaluation.check_name not in NAMES:
            continue
        partition, name = SyncPartition.parse(evaluation.partition), NAMES[evaluation.check_name]
        if evaluation.passed:
            _resolve(connection, name, partition)
        else:
            alerts.raise_alert(connection, _alert(name, partition, evaluation, record.run_id))


def _alert(name: str, partition: SyncPartition, failed: dg.AssetCheckEvaluation, run_id: str) -> Alert:
    value, limit = (failed.metadata[each].value for each in ("value", "limit"))
    title = _TITLES.get(failed.check_name, "{name} of the sync of {day} is {value:g}, above {limit:g}")
    return Alert(
        fingerprint=f"{name}/{partition.ispb}/{partition.day}",
        name=name,
        severity=Severity.CRITICAL if failed.check_name in _CRITICAL else Severity.WARNING,
        title=f"{partition.ispb}: {title.format(day=partition.day, value=value, limit=limit, name=failed.check_name)}",
        text="The sync itself has ended; a person should look at this figure.",
        link=environment().run_link(run_id),
        labels={"ispb": partition.ispb, "day": partition.day.isoformat()},
    )


def _resolve(connection: Connection, name: str, partition: SyncPartition) -> None:
    """Take back what stands of that day and of those before: a backfill of an old day says nothing of today."""
    for each in alerts.standing(connection):
        about = each.alert.labels
        is_ours = each.alert.name == name and about.get("ispb") == partition.ispb
        if is_ours and about["day"] <= partition.day.isoformat():
            alerts.resolve(connection, each.alert.fingerprint)
