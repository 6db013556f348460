from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from starlette.applications import Starlette

from vsync_dagster.console.app import create_app
from vsync_dagster.local_db import participants, roles
from vsync_dagster.local_db.database import Database
from vsync_dagster_tests.console.parts import Person, credentials, put_up
from vsync_dagster_tests.local_db.parts import ISPB


@dataclass
class Clock:
    """A time that tests move."""

    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        """The same as a time of day."""
        return datetime.now(UTC) + timedelta(seconds=self.seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def app(database: Database, clock: Clock) -> Starlette:
    """The console on the test's database, with a participant."""
    with database.connect() as conn:
        participants.add(conn, ISPB, name="Banco <Exemplo>")
    return create_app(database, now=clock.now, clock=clock)


@pytest.fixture
def item_id(database: Database) -> UUID:
    """An item put up for review."""
    [item_id] = put_up(database, 1)
    return item_id


@pytest.fixture
def ana(database: Database, app: Starlette) -> Iterator[Person]:
    """Somebody of compliance, logged in."""
    with credentials(database, roles.COMPLIANCE) as known:
        person = Person(app, known.name, known.password)
        person.log_in()
        yield person


@pytest.fixture
def rui(database: Database, app: Starlette) -> Iterator[Person]:
    """A colleague of hers, logged in."""
    with credentials(database, roles.COMPLIANCE) as known:
        person = Person(app, known.name, known.password)
        person.log_in()
        yield person


@pytest.fixture
def eva(database: Database, app: Starlette) -> Iterator[Person]:
    """An auditor, logged in."""
    with credentials(database, roles.AUDITOR) as known:
        person = Person(app, known.name, known.password)
        person.log_in()
        yield person
