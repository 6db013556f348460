import pytest

from vsync_dagster.reconcile.mass_change import Limit, objection

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
