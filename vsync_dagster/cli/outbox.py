"""`vsync outbox`: the events that wait to be published, and publishing them again."""

import json
from datetime import UTC, datetime
from uuid import UUID

import click

from vsync_dagster.cli.options import ISPB, TimeType, database, environment, json_option, require_known
from vsync_dagster.events.relay import relay
from vsync_dagster.local_db import outbox as outbox_table
from vsync_dagster.local_db.outbox import Waiting
from vsync_dagster.reconcile.errors import EnvironmentVariableError

SOME_WAIT = 1


@click.group()
def outbox() -> None:
    """The events that are published to VSYNC_PULSAR_URL, and those that wait for it.

    An event is stored with what it tells of, published at least once, and in order among its participant's. Every sync
    publishes what waits, and so does the sensor outbox_relay.
    """


@outbox.command()
@json_option
def status(as_json: bool) -> None:
    """Tell how many events wait, since when, and what holds them up, by participant."""
    with database().connect() as connection:
        waiting = outbox_table.waiting(connection)
    now = datetime.now(UTC)
    if as_json:
        click.echo(json.dumps(_status(waiting, now)))
        return
    for each in waiting:
        held_up = f"  {each.attempts} tries, the last: {each.last_error}" if each.last_error else ""
        click.echo(f"{each.participant_ispb}  {each.events:>9,} wait, the oldest for {_age(each, now):,} s{held_up}")
    if not waiting:
        click.echo("no event waits")


@outbox.command()
@click.argument("message_ids", metavar="[ID]...", type=click.UUID, nargs=-1)
@click.option("--since", type=TimeType(), help="Again: those stored at this time or later.")
@click.option("--until", type=TimeType(), help="Again: those stored before this time.")
@click.option("--ispb", type=ISPB, help="Again: only this participant's.")
@json_option
def replay(
    message_ids: tuple[UUID, ...],
    since: datetime | None,
    until: datetime | None,
    ispb: str | None,
    as_json: bool,
) -> int:
    """Publish what waits; with an ID, a time or an ISPB, also publish again what was published before.

    An ID is the attribute `id` of a message, and --since and --until are about its `time`. What is published again has
    the id it had, so that consumers who have it already can tell.

    \b
    vsync outbox replay                                 what waits
    vsync outbox replay --since 2026-11-24T00:00:00Z    and all of that day and later, once more
    vsync outbox replay 7d6f0a53-93a8-4d3a-9d35-2f3c54a3c5b1

    Exit code: 0 all is published, 1 some events wait, 2 the database failed.
    """
    base, variables = database(), environment()
    if variables.pulsar_url is None:
        raise EnvironmentVariableError("VSYNC_PULSAR_URL is not set; set it, for example, to pulsar://host:6650")
    require_known(ispb)
    again = 0
    if message_ids or since or until or ispb:
        with base.connect(bulk=True) as connection:
            again = outbox_table.publish_again(
                connection, message_ids=message_ids or None, since=since, until=until, ispb=ispb
            )
    result = relay(base, variables.pulsar_url, variables.pulsar_topic, attempts=3, timeout=5)
    if as_json:
        click.echo(json.dumps({"again": again, "published": result.published, "left": result.left}))
    else:
        click.echo(f"{again:,} events put back; published {result.published:,}, {result.left:,} wait")
    return SOME_WAIT if result.left else 0


def _age(waiting: Waiting, now: datetime) -> int:
    return int((now - waiting.oldest).total_seconds())


def _status(waiting: list[Waiting], now: datetime) -> dict[str, object]:
    return {
        "depth": sum(each.events for each in waiting),
        "oldest_age_seconds": max((_age(each, now) for each in waiting), default=None),
        "participants": [
            {
                "participant_ispb": each.participant_ispb,
                "depth": each.events,
                "oldest_age_seconds": _age(each, now),
                "attempts": each.attempts,
                "last_error": each.last_error,
            }
            for each in waiting
        ],
    }
