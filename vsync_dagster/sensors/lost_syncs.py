"""Ends runs that were lost with the machine, or the code server, that would have noticed.

Dagster takes such a run for one that works, and starts no other of its participant. Its lease tells the truth.
"""

import json

import dagster as dg

from vsync_dagster.local_db import leases
from vsync_dagster.local_db.database import Database
from vsync_dagster.resources import LocalDatabase
from vsync_dagster.sensors.ended_syncs import tell_of_failed

# In a row. A run that works renews its lease several times between two of them, also when PostgreSQL has just come
# back; one that has let go of it ends within seconds.
TICKS_WITHOUT_A_LEASE = 5


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Ends runs that renew their lease no more, so that their participants are synced again. Starts no run.",
)
def lost_syncs(context: dg.SensorEvaluationContext, local_database: LocalDatabase) -> dg.SkipReason:
    """A run that never had a lease is none of them, since nothing tells how it does."""
    database = local_database.database()
    started = context.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
    run_ids = [run.run_id for run in started]
    silent = database.retrying(lambda connection: leases.without_lease(connection, run_ids))
    before: dict[str, int] = json.loads(context.cursor or "{}")
    ticks = {run_id: before.get(run_id, 0) + 1 for run_id in silent}
    lost = [run_id for run_id, number in ticks.items() if number >= TICKS_WITHOUT_A_LEASE]
    for run_id in lost:
        _end(context.instance, run_id, database)
    context.update_cursor(json.dumps({run_id: number for run_id, number in ticks.items() if run_id not in lost}))
    return dg.SkipReason(f"{len(lost)} runs were lost")


def _end(instance: dg.DagsterInstance, run_id: str, database: Database) -> None:
    """Have Dagster know; what a code location has begun, it then tells to the sensor of failed runs itself."""
    run = instance.get_run_by_id(run_id)
    if run is None or run.is_finished:
        return
    if run.remote_job_origin is None:
        tell_of_failed(instance, run, database)
    instance.report_run_failed(run, "Its process is lost: it does not renew its lease any more.")
