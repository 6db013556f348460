"""The roles of the database and what each may do: the SQL, and applying it."""

from importlib.resources import files

from vsync_dagster.local_db.database import Connection

APPLICATION = "vsync_application"
COMPLIANCE = "vsync_compliance"
AUDITOR = "vsync_auditor"
RETENTION = "vsync_retention"


def sql() -> bytes:
    """Return the statements that make the roles and grant their rights."""
    return (files("vsync_dagster.local_db") / "roles.sql").read_bytes()


def apply(conn: Connection) -> None:
    """Make the roles and set their rights, in the caller's transaction; a second time changes nothing.

    The caller owns the tables and may create roles, or is a superuser. Roles hold for the whole server, rights for
    this database.
    """
    conn.execute(sql())
