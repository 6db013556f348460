import pytest

from vsync_dagster.reconcile.status import Status, decide


@pytest.mark.parametrize(
    ("left_undone", "proved", "status"),
    [
        (0, True, Status.COMPLETED),
        (0, False, Status.PARTIAL),
        (1, True, Status.PARTIAL),
        (1, False, Status.PARTIAL),
    ],
)
def test_only_a_whole_and_proved_sync_is_completed(left_undone: int, proved: bool, status: Status) -> None:
    assert decide(left_undone=left_undone, proved=proved) is status


def test_exit_codes() -> None:
    assert {status: status.exit_code for status in Status} == {"COMPLETED": 0, "PARTIAL": 1, "FAILED": 2}
