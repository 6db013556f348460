"""All checks in their order, each within its time."""

import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from queue import Empty, SimpleQueue

from vsync_dagster.dict_api.settings import DictSettings
from vsync_dagster.doctor import around, databases, directory
from vsync_dagster.doctor.check import Check, State, failed
from vsync_dagster.doctor.variables import check_variables
from vsync_dagster.environment import Environment
from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.participants import Participant
from vsync_dagster.reconcile.errors import VsyncError

CHECK_SECONDS = 60.0
"""The longest that is waited for the next check; each connection and call within it has 10 s."""


@dataclass(slots=True)
class Doctor:
    """Checks an installation. Reads only: what it writes into the storage it deletes again.

    Attributes:
        environment: the variables.
        known: the names of all variables that there are.
        now: the time, in UTC.
        begin: is told what is checked next.
        limit: seconds that the next check may take.
    """

    environment: Environment
    known: Collection[str]
    now: Callable[[], datetime]
    begin: Callable[[str], None] = lambda _: None
    limit: float = CHECK_SECONDS
    _database: Database | None = field(default=None, init=False)
    _enabled: list[Participant] = field(default_factory=list, init=False)

    def checks(self) -> Iterator[Check]:
        """Yield the checks as they are made."""
        yield from self._within("variables", lambda: check_variables(self.environment, self.known))
        yield from self._within("database", self._check_databases)
        settings = self._settings()
        if settings is None:
            yield Check("DICT", State.SKIPPED, "its variables are wrong: see above")
        else:
            yield from self._check_dict(settings)
        yield from self._within("storage", lambda: [around.check_storage(self.environment)])
        yield from self._within("broker", lambda: [around.check_broker(self.environment)], State.WARNING)
        targets = lambda: around.check_alert_targets(self.environment, self._database)  # noqa: E731
        yield from self._within("alert targets", targets, State.WARNING)

    def _check_databases(self) -> Iterator[Check]:
        for name, database in databases.databases(self.environment).items():
            check = databases.check_connection(name, database)
            yield check
            if name == "database" and check.state is State.OK:
                self._database = database
        if self._database is None:
            yield Check("schema", State.SKIPPED, "there is no connection to the database")
            return
        found, self._enabled = databases.check_schema(self._database)
        yield from found

    def _check_dict(self, settings: DictSettings) -> Iterator[Check]:
        yield from self._within("DICT's TLS", lambda: directory.check_way(settings))
        yield from self._within("certificates", lambda: directory.check_certificates(settings, self.now()))
        yield from self._within("signing key", lambda: directory.check_signing_key(settings))
        if self._enabled:
            yield from self._within("ISPB", lambda: directory.check_our_ispb(self.environment, self._enabled))
            calls = lambda: directory.check_calls(settings, self._enabled, self.now)  # noqa: E731
            yield from self._within("calls to DICT", calls)
        else:
            yield Check("calls to DICT", State.SKIPPED, "no participant is known to make them for")
        yield from self._within("file host", lambda: directory.check_file_host(settings))

    def _settings(self) -> DictSettings | None:
        try:
            return self.environment.dict_settings
        except VsyncError:  # said with the variables
            return None

    def _within(self, name: str, make: Callable[[], Iterable[Check]], worst: State = State.FAILED) -> Iterator[Check]:
        """Yield a group's checks as they are made, and a failed one where the next does not come in time.

        A resolver or a driver can wait longer than it is told to: its thread is left behind, and ends with the process.
        """
        self.begin(name)
        made: SimpleQueue[Check | None] = SimpleQueue()

        def work() -> None:
            try:
                for check in make():
                    made.put(check)
            except Exception as error:  # noqa: BLE001 - of whatever kind, it is one check that failed
                made.put(failed(name, error, worst))
            made.put(None)

        threading.Thread(target=work, name=f"doctor-{name}", daemon=True).start()
        try:
            while (check := made.get(timeout=self.limit)) is not None:
                yield check
        except Empty:
            yield Check(name, worst, f"no answer within {self.limit:.0f} s", "check the network, and run this again")
