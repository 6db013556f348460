"""The variables that are not about DICT's identity, encryption or storage; those are tested with what they are for."""

import pytest

from vsync_dagster.environment import Environment
from vsync_dagster.reconcile.errors import EnvironmentVariableError

WAIT = "VSYNC_BUDGET_WAIT_SECONDS"


@pytest.mark.parametrize(("given", "seconds"), [({}, 3_600), ({WAIT: ""}, 3_600), ({WAIT: "0"}, 0), ({WAIT: "60"}, 60)])
def test_how_long_a_sync_waits_for_budgets(given: dict[str, str], seconds: float) -> None:
    assert Environment(given).budget_wait_seconds == seconds


@pytest.mark.parametrize("value", ["an hour", "-1", "1e3", "nan", "9" * 10])
def test_a_wait_that_is_no_number_of_seconds_is_refused(value: str) -> None:
    with pytest.raises(EnvironmentVariableError, match=f"^{WAIT} is malformed; it is a number of seconds"):
        _ = Environment({WAIT: value}).budget_wait_seconds


def test_how_long_a_lease_lasts_and_is_waited_for() -> None:
    assert (Environment({}).lease_seconds, Environment({}).lease_wait_seconds) == (60, 3_600)
    given = Environment({"VSYNC_LEASE_SECONDS": "5", "VSYNC_LEASE_WAIT_SECONDS": "0"})
    assert (given.lease_seconds, given.lease_wait_seconds) == (5, 0)
    with pytest.raises(EnvironmentVariableError, match="VSYNC_LEASE_SECONDS is malformed"):
        _ = Environment({"VSYNC_LEASE_SECONDS": "0"}).lease_seconds
