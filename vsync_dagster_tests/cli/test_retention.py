"""`vsync retention` as scripts run it."""

from vsync_dagster.local_db import roles
from vsync_dagster_tests.cli.conftest import Command
from vsync_dagster_tests.logins import login_with
from vsync_dagster_tests.world import World

_OLD_EVENT = """
insert into outbox (participant_ispb, event_type, payload, published_at)
values ('12345678', 'x', '{}', now() - interval '8 days')
"""


def test_a_dry_run_tells_what_a_run_then_deletes(world: World, synced: Command) -> None:
    world.sql(_OLD_EVENT)
    with login_with(world.database, roles.RETENTION) as login:
        arguments = ("retention", "run", "--event-days", "7", "--json")
        dry = synced(*arguments, "--dry-run", VSYNC_RETENTION_DATABASE_URL=login.url)
        assert (dry.status, dry.json["outbox"], dry.json["dry_run"]) == (0, 1, True), dry.err
        assert world.sql("select count(*) from outbox") == [(1,)]
        ran = synced(*arguments, VSYNC_RETENTION_DATABASE_URL=login.url)
    assert (ran.status, ran.json["outbox"], ran.json["sync_reports"]) == (0, 1, 0), ran.err
    assert world.sql("select count(*) from outbox") == [(0,)]
