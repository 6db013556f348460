"""The roles of the database and what each may do: the SQL, and applying it."""

from importlib.resources import files

from vsync_dagster.local_db.database import Connection

APPLICATION = "vsync_application"
COMPLIANCE = "vsync_compliance"
AUDITOR = "vsync_auditor"
RETENTION = "vsync_retention"
MONITORING = "vsync_monitoring"
OPERATOR = "vsync_operator"
ALL = (APPLICATION, COMPLIANCE, AUDITOR, RETENTION, MONITORING, OPERATOR)

_HELD = """
select rolname from pg_roles where rolname = any(%s) and pg_has_role(session_user, oid, 'usage')
    and not (select rolsuper from pg_roles where rolname = session_user)
"""


def sql() -> bytes:
    """Return the statements that make the roles and grant their rights."""
    return (files("vsync_dagster.local_db") / "roles.sql").read_bytes()


def apply(conn: Connection) -> None:
    """Make the roles and set their rights, in the caller's transaction; a second time changes nothing.

    The caller owns the tables and may create roles, or is a superuser. Roles hold for the whole server, rights for
    this database.
    """
    conn.execute(sql())


def held(conn: Connection) -> frozenset[str]:
    """Return which of the roles were granted to the connection's login; to a superuser, who has all rights, none."""
    return frozenset(name for (name,) in conn.execute(_HELD, [list(ALL)]))
