"""The variables that are not about DICT's identity, encryption or storage; those are tested with what they are for."""

from datetime import timedelta
from pathlib import Path

import pytest

from vsync_dagster.environment import Environment
from vsync_dagster.reconcile.errors import EnvironmentVariableError
from vsync_dagster.reconcile.waiting import ClockLimits

WAIT = "VSYNC_BUDGET_WAIT_SECONDS"


@pytest.mark.parametrize(("given", "seconds"), [({}, 3_600), ({WAIT: ""}, 3_600), ({WAIT: "0"}, 0), ({WAIT: "60"}, 60)])
def test_how_long_a_sync_waits_for_budgets(given: dict[str, str], seconds: float) -> None:
    assert Environment(given).budget_wait_seconds == seconds


@pytest.mark.parametrize("value", ["an hour", "-1", "1e3", "nan", "9" * 10])
def test_a_wait_that_is_no_number_of_seconds_is_refused(value: str) -> None:
    with pytest.raises(EnvironmentVariableError, match=f"^{WAIT} is malformed; it is a number of seconds"):
        _ = Environment({WAIT: value}).budget_wait_seconds


def test_where_cid_files_go_and_how_slow_they_may_come(tmp_path: Path) -> None:
    default = Environment({"VSYNC_HOME": str(tmp_path)})
    assert (default.download_folder, default.min_download_rate) == (tmp_path / "downloads", 1_000_000)
    given = Environment({"VSYNC_DOWNLOAD_FOLDER": "/disk", "VSYNC_DOWNLOAD_MIN_RATE": "250000"})
    assert (given.download_folder, given.min_download_rate) == (Path("/disk"), 250_000)
    for value in ("0", "-1", "1e6", "fast", "9" * 13):
        with pytest.raises(EnvironmentVariableError, match="VSYNC_DOWNLOAD_MIN_RATE is malformed"):
            _ = Environment({"VSYNC_DOWNLOAD_MIN_RATE": value}).min_download_rate


def test_how_long_a_lease_lasts_and_is_waited_for() -> None:
    assert (Environment({}).lease_seconds, Environment({}).lease_wait_seconds) == (60, 3_600)
    given = Environment({"VSYNC_LEASE_SECONDS": "5", "VSYNC_LEASE_WAIT_SECONDS": "0"})
    assert (given.lease_seconds, given.lease_wait_seconds) == (5, 0)
    with pytest.raises(EnvironmentVariableError, match="VSYNC_LEASE_SECONDS is malformed"):
        _ = Environment({"VSYNC_LEASE_SECONDS": "0"}).lease_seconds


def test_links_lead_into_the_repository_or_to_where_people_reach_the_documents() -> None:
    error = EnvironmentVariableError("X is not set")
    linked = Environment({"VSYNC_DOCS_URL": "https://git.example/docs"})
    assert Environment({}).with_link(error) == "X is not set (see docs/messages.md#environment-variable)"
    assert linked.message_link(error) == "https://git.example/docs/messages.md#environment-variable"
    assert linked.message_link(ValueError("k")) == "https://git.example/docs/messages.md#unexpected"
    assert linked.runbook("VSyncSlow") == "https://git.example/docs/runbooks.md#vsyncslow"
    malformed = Environment({"VSYNC_DOCS_URL": "git.example"})
    assert malformed.message_link(error) == "docs/messages.md#environment-variable", "an error is told in any case"
    with pytest.raises(EnvironmentVariableError, match="VSYNC_DOCS_URL is malformed"):
        _ = malformed.docs_url


WARNING, CRITICAL, NOT_OK, NOT_READ = (
    f"VSYNC_NOT_{what}_HOURS" for what in ("ANSWERED_WARNING", "ANSWERED_CRITICAL", "OK", "READ_WHOLE")
)


def test_when_the_clocks_ring() -> None:
    assert Environment({}).clock_limits == ClockLimits(*(timedelta(hours=hours) for hours in (24, 33, 36, 336)))
    given = Environment({WARNING: "12", CRITICAL: "36", NOT_OK: "48", NOT_READ: "800"}).clock_limits
    assert given == ClockLimits(*(timedelta(hours=hours) for hours in (12, 36, 48, 800)))


@pytest.mark.parametrize(
    "given", [{WARNING: "34"}, {CRITICAL: "23"}, {CRITICAL: "37"}, {CRITICAL: "0"}, {NOT_OK: "a day"}], ids=str
)
def test_clocks_that_would_ring_too_late_or_never_are_refused(given: dict[str, str]) -> None:
    with pytest.raises(EnvironmentVariableError, match="_HOURS is malformed"):
        _ = Environment(given).clock_limits
