"""What goes wrong around a sync, done for real, and what comes of it."""

import pytest

pytest.register_assert_rewrite("vsync_dagster_tests.faults.scene")
