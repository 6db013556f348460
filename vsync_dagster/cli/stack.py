"""Everything a sync needs, on this machine: PostgreSQL, a broker, a simulated DICT, and two participants' keys."""

import logging
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime

from vsync_dagster.cli.keys import key_of_home
from vsync_dagster.cli.options import environment
from vsync_dagster.cli.simulator import certificates_folder, state_path
from vsync_dagster.embedded.broker import embedded_broker
from vsync_dagster.embedded.postgres import embedded_postgres
from vsync_dagster.local_db import participants
from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.migrate import migrate
from vsync_dagster.simulator.certificates import Certificates
from vsync_dagster.simulator.drift import drift
from vsync_dagster.simulator.local_base import mark, seed_local
from vsync_dagster.simulator.population import generate
from vsync_dagster.simulator.server import running_simulator
from vsync_dagster.simulator.settings import Settings
from vsync_dagster.simulator.state import DictState

_log = logging.getLogger(__name__)

DIRECT = "99990001"
# The second is an indirect participant: a process has one certificate, and speaks for itself and its indirects.
PARTICIPANTS = {DIRECT: "Banco Demonstração", "99990002": "Pagamentos Exemplo"}
KEYS = 20_000


CREATED, UPDATED, DELETED, TAMPERED = 40, 60, 15, 10
DRIFT = (
    f"moved the sides apart: {CREATED} keys created, {UPDATED} changed and {DELETED} deleted at DICT only, "
    f"{TAMPERED} rows tampered with here"
)


@contextmanager
def running_stack() -> Iterator[Database]:
    """Run what is not given by the environment, seed it on the first run, and stop it on leaving.

    Sets the environment variables by which the application finds everything, DICT's among them: a demonstration never
    talks to another DICT than the simulated one.
    """
    home = environment().home
    if os.environ.get("VSYNC_DATABASE_URL"):
        _ = environment().encryption_keys  # a given database is encrypted with given keys, or not begun with
    home.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        if not os.environ.get("VSYNC_DATABASE_URL"):
            _log.info("starting PostgreSQL")
            os.environ["VSYNC_DATABASE_URL"] = stack.enter_context(embedded_postgres(home))
            os.environ.setdefault("VSYNC_ENCRYPTION_KEYS", key_of_home(home))
        if not os.environ.get("VSYNC_PULSAR_URL"):
            _log.info("starting a Pulsar broker")
            os.environ["VSYNC_PULSAR_URL"] = stack.enter_context(embedded_broker(home))
        path = state_path(None)
        state = stack.enter_context(DictState(path, now=_now))
        certificates = Certificates(certificates_folder(path))
        for name in [name for name in os.environ if name.startswith("VSYNC_DICT_")]:
            del os.environ[name]
        os.environ.update(certificates.variables(DIRECT))
        os.environ["VSYNC_DICT_URL"] = stack.enter_context(running_simulator(state, Settings(), certificates))
        _log.info("the simulated DICT is at %s", os.environ["VSYNC_DICT_URL"])
        database = Database(environment().database_url)
        migrate(database)
        _seed(database, state)
        yield database


def _seed(database: Database, state: DictState) -> None:
    """Give each participant its keys, the same on both sides, and then move the sides apart; each side once."""
    with database.connect() as connection:
        mark(connection)
        here = {participant.ispb for participant in participants.list_all(connection)}
    at_dict = state.participants.all().keys()
    for ispb in PARTICIPANTS:
        via = None if ispb == DIRECT else DIRECT
        if ispb not in at_dict:
            _log.info("%s: seeding %d keys at the simulated DICT", ispb, KEYS)
            state.participants.add(ispb, via=via)
            state.bulk_create(generate(ispb, KEYS, seed=1))
        if ispb not in here:
            _log.info("%s: seeding %d keys in our own base", ispb, KEYS)
            with database.connect(bulk=True) as connection:
                participants.add(connection, ispb, name=PARTICIPANTS[ispb], via=via)
                seed_local(connection, generate(ispb, KEYS, seed=1))
                drift(state, connection, ispb, local_tampers=TAMPERED, seed=1)
        if ispb not in at_dict:
            drift(state, None, ispb, creates=CREATED, updates=UPDATED, deletes=DELETED, seed=1)
            _log.info("%s: %s", ispb, DRIFT)
    if not here.issuperset(PARTICIPANTS):
        lag = Settings().log_lag.total_seconds() + 1
        _log.info("waiting %.0f s, so that nothing of this counts as still in flight", lag)
        time.sleep(lag)


def _now() -> datetime:
    return datetime.now(UTC)
