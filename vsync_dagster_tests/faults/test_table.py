"""docs/reliability.md lists what is tested."""

import pytest

from vsync_dagster_tests import reliability


def test_each_fault_that_is_tested_is_in_the_table(request: pytest.FixtureRequest) -> None:
    tested = {fault.row() for item in request.session.items if (fault := reliability.fault_of(item))}
    assert tested <= reliability.written_rows(), "run `make reliability`"
