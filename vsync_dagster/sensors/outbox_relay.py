"""Publishes what waits in the outbox: what a broken broker left there, and what people decide between the syncs."""

import dagster as dg

from vsync_dagster.resources import EventBroker, LocalDatabase

# Dagster gives up on an evaluation after 60 s; the next one goes on where this one was.
RELAY_SECONDS = 30


@dg.sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Publishes the events that wait in the outbox. Starts no run.",
)
def outbox_relay(local_database: LocalDatabase, event_broker: EventBroker) -> dg.SkipReason:
    """Relay for half a minute at most, and say how far it came."""
    result = event_broker.publish_for(local_database.database(), RELAY_SECONDS)
    if result is None:
        return dg.SkipReason("VSYNC_PULSAR_URL is not set: events wait in the outbox")
    told = f"published {result.published} events, {result.left} wait"
    return dg.SkipReason(f"{told}: {result.warning}" if result.warning else told)
