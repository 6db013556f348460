from collections.abc import Iterator

import pytest

from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster_tests.their_table import attach_theirs


@pytest.fixture
def theirs(database: Database) -> Database:
    attach_theirs(database)
    return database


@pytest.fixture
def conn(theirs: Database) -> Iterator[Connection]:
    with theirs.connect() as connection:
        yield connection
