from collections.abc import Iterator

import pytest

from vsync_dagster.local_db.database import Connection, Database


@pytest.fixture
def conn(database: Database) -> Iterator[Connection]:
    """A connection to the test's own database."""
    with database.connect() as connection:
        yield connection
