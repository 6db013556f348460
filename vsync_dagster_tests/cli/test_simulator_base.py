"""The simulator's commands on a base that holds real keys."""

from pathlib import Path

import pytest

from vsync_dagster.local_db.database import Database
from vsync_dagster.simulator.local_base import SimulatorRefusedError, mark, require_mark
from vsync_dagster_tests.cli.conftest import Command
from vsync_dagster_tests.local_db.parts import ISPB, insert, make_entry, rows


@pytest.mark.parametrize(
    "command",
    [("populate", "--ispb", ISPB, "--keys", "5"), ("drift", "--ispb", ISPB, "--local-tampers", "1")],
    ids=["populate", "drift"],
)
def test_a_base_with_real_keys_is_left_as_it_is(
    vsync: Command, database: Database, tmp_path: Path, command: tuple[str, ...]
) -> None:
    with database.connect() as conn:
        insert(conn, make_entry(1))
        before = rows(conn, "select e.*, xmin::text from entries e")
    state = tmp_path / "dict.sqlite"

    outcome = vsync("simulator", *command, "--state", str(state), VSYNC_DATABASE_URL=database.url)

    assert outcome.status != 0
    assert "holds keys that the simulator did not make" in outcome.err
    assert not state.exists(), "nothing is left behind"
    with database.connect() as conn:
        assert rows(conn, "select e.*, xmin::text from entries e") == before
        assert rows(conn, "select from pg_namespace where nspname = 'vsync_simulator'") == []


def test_an_empty_base_is_marked_and_stays_marked(database: Database) -> None:
    with database.connect() as conn:
        with pytest.raises(SimulatorRefusedError):
            require_mark(conn)
        mark(conn)
        insert(conn, make_entry(1))
        mark(conn)
        require_mark(conn)
