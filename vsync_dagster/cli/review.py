"""`vsync review`: keys that only we hold, and what people decide about them."""

import json
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

import click

from vsync_dagster.cli.options import ISPB, database, json_option, require_known
from vsync_dagster.local_db import decisions
from vsync_dagster.local_db import review as review_queue
from vsync_dagster.local_db.decisions import Decision
from vsync_dagster.local_db.review import OpenItem

_item = click.argument("item_id", metavar="ID", type=click.UUID)
_reason = click.option("--reason", required=True, help="Why; kept for years, so nothing personal in it.")


@click.group()
def review() -> None:
    """Keys that only we hold, and that a person decides about.

    Who decides is the login of VSYNC_DATABASE_URL; it needs the role vsync_compliance. Deleting a key takes two
    logins: one decides confirm_deletion, another approves. Keys are masked.
    """


@review.command("list")
@click.option("--ispb", type=ISPB, help="Only this participant's.")
@json_option
def list_review(ispb: str | None, as_json: bool) -> None:
    """List the open items, oldest first."""
    require_known(ispb)
    with database().connect() as connection:
        items = review_queue.open_items(connection, ispb)
    for item in items:
        click.echo(json.dumps(_values(item)) if as_json else _line(item))


@review.command()
@_item
@json_option
def show(item_id: UUID, as_json: bool) -> None:
    """Show an item's evidence, what it suggests, and all that was done, also when it is closed."""
    with database().connect() as connection:
        item = review_queue.get(connection, item_id)
        steps = decisions.trail(connection, item_id)
    if item is None:
        raise click.UsageError(f"there is no item {item_id}; `vsync review list` lists those that are open")
    if as_json:
        click.echo(json.dumps(_values(item) | {"trail": [_plain(asdict(step)) for step in steps]}))
        return
    suggestion = item.suggestion()
    click.echo(_line(item))
    for fact in suggestion.facts:
        click.echo(f"  {fact}")
    click.echo(f"  suggestion: {suggestion.decision.lower()}")
    for step in steps:
        told = " ".join(str(part) for part in (step.step, step.decision, step.ask_again_on, step.assignee) if part)
        click.echo(
            f"{step.done_at:%Y-%m-%d %H:%M:%SZ}  {step.done_by}  {told}{f': {step.reason}' if step.reason else ''}"
        )


@review.command()
@_item
@click.argument("decision", type=click.Choice([name.value.lower() for name in Decision]))
@_reason
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="Day it is asked again: for keep, re_register.")
@click.option("--assignee", help="Who looks into it: for investigate.")
def decide(item_id: UUID, decision: str, reason: str, until: datetime | None, assignee: str | None) -> None:
    """Decide about an item.

    \b
    confirm_deletion  propose to delete the key here; somebody else must approve
    keep              leave it, and ask again on the day --until
    re_register       correct here, lost at DICT: export it for the team that registers it again
    investigate       --assignee looks into it
    """
    with database().connect() as connection:
        decisions.decide(
            connection,
            item_id,
            Decision(decision.upper()),
            reason,
            ask_again_on=until.date() if until else None,
            assignee=assignee,
        )
    click.echo(f"{item_id}: {decision}{' proposed: another login approves' if decision == 'confirm_deletion' else ''}")


@review.command()
@_item
@_reason
@click.option("--reject", is_flag=True, help="Take the proposal back instead; the item waits again.")
def approve(item_id: UUID, reason: str, reject: bool) -> None:
    """Approve a proposed deletion, as another login than the proposer's: the key is deleted here, at once."""
    with database().connect() as connection:
        (decisions.reject if reject else decisions.approve)(connection, item_id, reason)
    click.echo(f"{item_id}: {'the proposal is taken back' if reject else 'deleted here'}")


@review.command()
@click.option("--ispb", type=ISPB, help="Only this participant's.")
def export(ispb: str | None) -> None:
    """Print what is to be registered at DICT again, one JSON object a line; the entry id names the key."""
    require_known(ispb)
    with database().connect() as connection:
        for entry in decisions.to_re_register(connection, ispb):
            click.echo(json.dumps(_plain(asdict(entry))))


def _line(item: OpenItem) -> str:
    state = (
        f"{item.decision.lower()} by {item.decided_by}" if item.decision else item.suggestion().decision.lower() + "?"
    )
    return (
        f"{item.id}  {item.created_at:%Y-%m-%d %H:%MZ}  {item.participant_ispb}  {item.key_type:<5}  "
        f"{item.masked_key}  {item.status}  {state}"
    )


def _values(item: OpenItem) -> dict[str, Any]:
    suggestion = item.suggestion()
    values = _plain(asdict(item))
    return values | {
        "key": values.pop("masked_key"),
        "suggestion": suggestion.decision,
        "facts": [str(fact) for fact in suggestion.facts],
    }


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {name: _json(value) for name, value in values.items()}


def _json(value: object) -> object:
    match value:
        case bytes():
            return value.hex()
        case None | str() | bool() | dict():
            return value
        case _:
            return str(value)
