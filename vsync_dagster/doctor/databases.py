"""PostgreSQL: the way there, the login, migrations, roles, rights, and the triggers that write the ledger."""

from collections.abc import Iterator

from vsync_dagster.doctor.check import Check, State, failed
from vsync_dagster.environment import DAGSTER_SCHEMA, Environment
from vsync_dagster.local_db import participants, roles
from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.local_db.key_table import check as key_table
from vsync_dagster.local_db.migrate import migrations
from vsync_dagster.local_db.participants import Participant
from vsync_dagster.reconcile.errors import VsyncError

# What a sync writes, of the many tables that it does; one right that is missing stands for `vsync roles apply`.
_RIGHTS = """
select t, p from (values
    ('entries', 'select'), ('entries', 'insert'), ('entries', 'update'), ('cid_events', 'select'),
    ('dict_calls', 'insert'), ('dict_budgets', 'update'), ('sync_leases', 'update'), ('sync_state', 'update'),
    ('cid_files', 'insert'), ('fixes', 'insert'), ('fix_details', 'insert'), ('looked_up_entries', 'insert'),
    ('manual_review_queue', 'insert'), ('outbox', 'insert'), ('sync_reports', 'insert'), ('alerts', 'insert')
) as needed (t, p)
where not coalesce(has_any_column_privilege(to_regclass('public.' || t), p), false)
"""
_OWNER = """
select rolsuper or exists (
    select from pg_class where oid = to_regclass('public.sync_reports') and pg_has_role(session_user, relowner, 'usage')
) from pg_roles where rolname = session_user
"""
_SCHEMA_RIGHTS = "select coalesce(has_schema_privilege(session_user, to_regnamespace(%s)::oid, 'usage, create'), false)"


def check_connection(name: str, database: Database) -> Check:
    """Check that the server lets the login into the database."""
    try:
        with database.connect() as conn:
            version = conn.info.server_version
    except VsyncError as error:
        return failed(name, error)
    return Check(name, State.OK, f"{database.variable} connects, PostgreSQL {version // 10_000}")


def databases(environment: Environment) -> dict[str, Database]:
    """Return the databases that the variables name, by the name of their check.

    Raises:
        VsyncError: a URL is missing or malformed.
    """
    named = {"database": Database(environment.database_url)}
    if environment.variables.get("VSYNC_DAGSTER_DATABASE_URL"):
        named["Dagster's database"] = Database(
            environment.dagster_database_url, variable=environment.dagster_database_variable
        )
    if environment.variables.get("VSYNC_RETENTION_DATABASE_URL"):
        named["retention's database"] = Database(
            environment.retention_database_url, variable=environment.retention_database_variable
        )
    return named


def check_migrations(conn: Connection) -> Check:
    """Check that the schema is that of this program."""
    known = {migration.version for migration in migrations()}
    [(exists,)] = conn.execute("select to_regclass('public.schema_migrations') is not null").fetchall()
    if not exists:
        return Check("migrations", State.FAILED, "the database has no tables of VSYNC", "run `vsync migrate`")
    applied = {version for (version,) in conn.execute("select version from schema_migrations")}
    if applied - known:
        return Check("migrations", State.FAILED, "the schema is newer than this program", "upgrade vsync-dagster")
    if known - applied:
        missing = len(known - applied)
        return Check("migrations", State.FAILED, f"{missing} migrations are missing", "run `vsync migrate`")
    return Check("migrations", State.OK, f"all {len(known)} are applied")


def check_roles(conn: Connection) -> list[Check]:
    """Check that the roles exist, and that the login may do what a sync does, and no more."""
    present = {
        name for (name,) in conn.execute("select rolname from pg_roles where rolname = any(%s)", [list(roles.ALL)])
    }
    checks = []
    if absent := sorted(set(roles.ALL) - present):
        checks.append(Check("roles", State.WARNING, f"missing: {', '.join(absent)}", "run `vsync roles apply`"))
    lacking = [f"{right} on {table}" for table, right in conn.execute(_RIGHTS)]
    if lacking:
        shown = ", ".join(lacking[:3]) + (", …" if len(lacking) > 3 else "")
        action = "run `vsync roles apply` as the tables' owner, and `grant vsync_application` to this login"
        checks.append(Check("roles", State.FAILED, f"the login lacks {shown}", action))
    elif conn.execute(_OWNER).fetchone() == (True,):
        action = "let syncs connect as a login with vsync_application only: see docs/security.md"
        checks.append(Check("roles", State.WARNING, "the login owns the tables, or is a superuser", action))
    return checks or [Check("roles", State.OK, "the login may do what a sync does")]


def check_dagster_schema(conn: Connection) -> Check:
    """Check that the login may use, and make, Dagster's tables in their schema."""
    [(allowed,)] = conn.execute(_SCHEMA_RIGHTS, [DAGSTER_SCHEMA]).fetchall()
    if allowed:
        return Check("Dagster's schema", State.OK, "the login may use it")
    action = "run `vsync migrate`, then `vsync roles apply`"
    return Check("Dagster's schema", State.FAILED, "the login may not use or create tables in it", action)


def check_triggers(conn: Connection) -> list[Check]:
    """Check that the triggers are in force that write the ledger of CIDs, on whichever table holds the keys."""
    found = list(key_table.findings(conn))
    if not found:
        return [Check("triggers", State.OK, "those on the keys are in force")]
    return [Check("triggers", State.FAILED, *_parted(sentence)) for sentence in found]


def check_participants(conn: Connection) -> tuple[Check, list[Participant]]:
    """Check that somebody is to be synced, and return whom."""
    enabled = participants.enabled(conn)
    if not enabled:
        action = "`vsync participants add ISPB` registers one"
        return Check("participants", State.FAILED, "none is registered and enabled", action), []
    return Check("participants", State.OK, f"{len(enabled)} enabled"), enabled


def check_schema(database: Database) -> tuple[list[Check], list[Participant]]:
    """Make all checks that need a connection, in a transaction that can write nothing."""
    checks: list[Check] = []
    try:
        with database.connect() as conn:
            conn.execute("set transaction read only")
            checks.append(check_migrations(conn))
            if checks[0].state is not State.OK:
                return checks, []
            checks += check_roles(conn)
            if any(check.state is State.FAILED for check in checks):
                return checks, []
            if database.variable == "VSYNC_DATABASE_URL":
                checks.append(check_dagster_schema(conn))
            checks += check_triggers(conn)
            check, enabled = check_participants(conn)
            return [*checks, check], enabled
    except VsyncError as error:
        return [*checks, failed("schema", error)], []


def _parted(sentence: str) -> Iterator[str]:
    detail, _, action = sentence.partition(": ")
    yield detail
    yield action
