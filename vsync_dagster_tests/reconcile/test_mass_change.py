import pytest

from vsync_dagster.reconcile.mass_change import Limit, objection, shrinkage

LIMIT = Limit(0.05, 1_000)


@pytest.mark.parametrize(
    ("changes", "keys", "refused"),
    [
        (1_000, 0, False),
        (1_001, 0, True),
        (1_000, 20_000, False),
        (1_001, 20_000, True),
        (5_000, 100_000, False),
        (5_001, 100_000, True),
    ],
)
def test_the_larger_of_share_and_number_is_permitted(changes: int, keys: int, refused: bool) -> None:
    assert (objection(changes, keys, LIMIT) is not None) == refused


def test_the_objection_names_the_figures() -> None:
    assert objection(1_200, 500, LIMIT) == ("1200 of 500 keys would change, more than the 1000 that may change unasked")


@pytest.mark.parametrize(
    ("verified", "now", "refused"),
    [
        (None, 0, False),
        (1_000, 0, False),
        (1_001, 0, True),
        (100_000, 95_000, False),
        (100_000, 94_999, True),
        (10, 99_999, False),
    ],
)
def test_a_set_may_lose_as_much_as_may_change(verified: int | None, now: int, refused: bool) -> None:
    assert (shrinkage(verified, now, LIMIT) is not None) == refused
