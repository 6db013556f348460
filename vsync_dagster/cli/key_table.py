"""`vsync key-table`: a participant's own key table in the place of `entries`."""

from collections.abc import Sequence
from pathlib import Path

import click
from psycopg.sql import Composed

from vsync_dagster.cli.options import database
from vsync_dagster.local_db import participants
from vsync_dagster.local_db.database import Connection
from vsync_dagster.local_db.key_table import attach as attaching
from vsync_dagster.local_db.key_table import check as checking
from vsync_dagster.local_db.key_table.mapping import KeyMapping, KeyMappingError, parse
from vsync_dagster.reconcile.errors import PermanentError
from vsync_dagster.reconcile.ispb import other_spelling

_file = click.argument("file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False, exists=True))
_dry_run = click.option("--dry-run", is_flag=True, help="Only print the SQL that would be run, in one transaction.")


@click.group("key-table")
def key_table() -> None:
    """The table that the keys are in: VSYNC's own `entries`, or one of another shape in the same database.

    \b
    A mapping is a TOML file, in which only what differs is said:
      schema = "core"                      # default public
      table = "pix_keys"
      time_zone = "America/Sao_Paulo"      # of columns that have none
      [columns]                            # ours = yours; one that is left out has the same name
      key = "pix_key"
      [constants]                          # ours that are the same in every row, and no column of yours
      participant_ispb = "12345678"
      [words.status]                       # our word = yours, or a list of yours; the first is written
      ACTIVE = ["ATIVA", "BLOQUEADA"]
      DELETED = "EXCLUIDA"

    What is required of the table, and what is added to it, is in docs/key-table.md.
    """


@key_table.command()
@_file
@_dry_run
def attach(file: Path, dry_run: bool) -> None:
    """Sync a table in place: `entries` becomes a view of it, and it gets the triggers of the ledger.

    Run it again with a changed FILE, or where `vsync key-table check` says so. Its indexes are built while writes to
    the table go on; then writes wait for the rest, reads do not. Takes a superuser, or a member of both the roles that
    own VSYNC's tables and that table.
    """
    mapping = _read(file)
    with database().connect(bulk=True) as connection:
        if dry_run:
            _print(attaching.plan_attaching(connection, mapping), connection)
            return
        # Each by itself, while writes go on; all else is one transaction.
        connection.autocommit = True
        attaching.build_indexes(connection, mapping)
        connection.autocommit = False
        attaching.attach(connection, mapping)
        connection.commit()
        click.echo(f"{mapping} is attached: entries is a view of it. Run `vsync roles apply` again")
        _tell(connection)


@key_table.command()
@_dry_run
def detach(dry_run: bool) -> None:
    """Take the table out again: `entries` is VSYNC's own, and empty. Yours keeps all its rows and columns.

    Also where the table was dropped, and the view with it.
    """
    with database().connect(bulk=True) as connection:
        if dry_run:
            _print(attaching.plan_detaching(connection), connection)
            return
        attaching.detach(connection)
    click.echo("the table is detached, and entries is VSYNC's own again. Run `vsync roles apply` again")


@key_table.command()
def show() -> None:
    """Print the mapping in force, as it was attached."""
    with database().connect() as connection:
        mapping = checking.mapping_in_force(connection)
    if mapping is None:
        raise PermanentError(
            "no table is attached: the keys are in the table entries of VSYNC itself", code="key-table-attach"
        )
    click.echo(mapping.text, nl=False)


@key_table.command()
def check() -> None:
    """See whether the table still is what was attached, and its triggers in force; count its rows.

    Reads the whole table once. Computes the CIDs of up to 1,000 active rows again: where many are others than those
    stored, the mapping names wrong columns.
    """
    with database().connect(bulk=True) as connection:
        found = list(checking.findings(connection))
        if found:
            raise PermanentError("; ".join(found), code="key-table-changed")
        click.echo("the triggers of the ledger are in force")
        _tell(connection)


def _tell(connection: Connection) -> None:
    registered = [participant.ispb for participant in participants.list_all(connection)]
    for counted in checking.count(connection):
        click.echo(
            f"{counted.ispb}: {counted.active:,} active rows with a CID, {counted.pending:,} pending or without one"
            + (f", {counted.unknown:,} with a status that no word stands for" if counted.unknown else "")
        )
        for ispb in registered:
            if other_spelling(counted.ispb, ispb):
                click.echo(f"{counted.ispb}: no sync sees these rows: the participant is registered as {ispb}")
    looked_at, other = checking.sample(connection)
    click.echo(f"{looked_at:,} CIDs computed again, {other:,} of them other than stored")


def _read(file: Path) -> KeyMapping:
    try:
        return parse(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        raise KeyMappingError(f"{file} cannot be read as UTF-8 text") from None


def _print(statements: Sequence[Composed], connection: Connection) -> None:
    click.echo("begin;\n")
    for statement in statements:
        click.echo(f"{statement.as_string(connection).strip()};\n")
    click.echo("commit;")
