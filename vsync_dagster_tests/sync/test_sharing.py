"""Whose budgets pay for an indirect participant, on a DICT of either kind."""

from pathlib import Path

import pytest

from vsync_dagster.local_db.database import Database
from vsync_dagster.resources import environment
from vsync_dagster.simulator.buckets import DOCUMENTED
from vsync_dagster.simulator.settings import Settings
from vsync_dagster.sync.connection import connect_dict
from vsync_dagster.sync.sharing import is_one_bucket
from vsync_dagster_tests.world import ISPB, running_world

INDIRECT = "87654321"
LOOK_UPS = "CIDS_ENTRIES_READ"


@pytest.mark.parametrize(
    ("told", "one"),
    [
        ((19, 18, 17), True),
        ((20, 19, 16), True),
        ((19, 19, 18), False),
        ((19, 18, 18), False),
        ((19, 12, 18), False),
        ((5, 19, 4), False),
        ((None, 18, 17), False),
        ((19, None, 17), False),
        ((19, 18, None), False),
    ],
)
def test_one_bucket_is_told_by_three_figures(told: tuple[int | None, int | None, int | None], one: bool) -> None:
    assert is_one_bucket(*told) is one


@pytest.mark.parametrize("shared", [False, True])
def test_calls_about_an_indirect_participant_are_counted_where_dict_counts_them(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: bool
) -> None:
    settings = Settings(indirects_share_buckets=shared)
    with running_world(database, tmp_path, monkeypatch, settings) as world:
        world.join(INDIRECT)
        state, limit = world.directory, DOCUMENTED[LOOK_UPS]
        state.buckets.drain(INDIRECT, LOOK_UPS, limit)
        payer = ISPB if shared else INDIRECT
        with connect_dict(environment(), database, INDIRECT, None) as connection:
            held = connection.allowance.budget.bucket(LOOK_UPS).tokens
            connection.client.create_sync_verification("CPF", bytes(32))
        assert (held > limit.capacity / 2) is shared
        spent = {
            ispb: DOCUMENTED["SYNC_VERIFICATIONS_WRITE"].capacity
            - state.buckets.level(ispb, "SYNC_VERIFICATIONS_WRITE", DOCUMENTED["SYNC_VERIFICATIONS_WRITE"])
            for ispb in (ISPB, INDIRECT)
        }
        assert spent == {ISPB: 0, INDIRECT: 0} | {payer: 1}
        learnt = "select distinct scope_ispb from dict_budgets where policies_read_at is not null"
        assert world.sql(learnt) == [(payer,)]
        assert world.sql("select shared from dict_budget_readings where subject = 'SHARING'") == [(shared,)]
        asked = "select count(*) from dict_calls where operation = 'bucketStates'"
        [(before,)] = world.sql(asked)
        with connect_dict(environment(), database, INDIRECT, None):
            pass
        assert world.sql(asked) == [(before,)], "once a day"
