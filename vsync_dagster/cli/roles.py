"""`vsync roles`: who may do what in the database."""

import click

from vsync_dagster.cli.options import database
from vsync_dagster.local_db import roles as database_roles


@click.group()
def roles() -> None:
    """The database roles: application, compliance, auditor, retention.

    They are groups without a login: `grant vsync_application to some_login` gives a login its rights.
    """


@roles.command()
def apply() -> None:
    """Make the roles and set their rights, as the owner of the tables; again after each `vsync migrate`."""
    with database().connect() as connection:
        database_roles.apply(connection)
    click.echo(
        "the roles vsync_application, vsync_compliance, vsync_auditor, vsync_retention and vsync_monitoring are up to"
        " date"
    )


@roles.command()
def sql() -> None:
    """Print the SQL that `vsync roles apply` runs, for a DBA to read and run."""
    click.echo(database_roles.sql(), nl=False)
