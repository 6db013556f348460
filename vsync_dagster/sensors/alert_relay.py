"""Tells people of alerts and recoveries: everything else only raises and resolves them."""

import dagster as dg

from vsync_dagster.resources import AlertTargets, LocalDatabase

# Dagster gives up on an evaluation after 60 s; the next one goes on where this one was.
RELAY_SECONDS = 30


@dg.sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells VSYNC_ALERT_URLS and VSYNC_ALERTMANAGER_URL of alerts and recoveries. Starts no run.",
)
def alert_relay(local_database: LocalDatabase, alert_targets: AlertTargets) -> dg.SkipReason:
    """Relay for half a minute at most; a target that is down fails no tick, it is tried again later."""
    result = alert_targets.relay(local_database.database(), RELAY_SECONDS)
    if result is None:
        return dg.SkipReason("neither VSYNC_ALERT_URLS nor VSYNC_ALERTMANAGER_URL is set: alerts wait for a day")
    return dg.SkipReason("; ".join([f"{result.told} messages taken", *result.warnings]))
