"""The environment variables that configure VSYNC, read where they are needed and checked when they are read."""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from vsync_dagster.dict_api.cid_file import SLOWEST_DOWNLOAD
from vsync_dagster.dict_api.settings import DictSettings, read_dict_settings, why_unverified
from vsync_dagster.local_db.alerts import Severity
from vsync_dagster.local_db.database import Database
from vsync_dagster.reconcile.errors import UNEXPECTED, EnvironmentVariableError
from vsync_dagster.reconcile.waiting import LONGEST_INTERVAL, ClockLimits

DEFAULT_HOME = ".vsync"
DEFAULT_DOCS = "docs/"
DEFAULT_TOPIC = "persistent://public/default/dict-events"
DAGSTER_SCHEMA = "dagster"
_KEY_BYTES = 32
_BUDGET_WAIT_SECONDS = 3_600
_ALERT_REPEAT = timedelta(hours=24)
FIRST_DAY = "2026-01-01"
_LEASE_SECONDS = 60
_LEASE_WAIT_SECONDS = 3_600


@dataclass(frozen=True, slots=True)
class Environment:
    """The variables of a process, as a mapping that the caller hands in."""

    variables: Mapping[str, str]

    def check(self) -> None:
        """Check the form of each variable that is set, but for what names files, and crons, which Dagster parses.

        Raises:
            EnvironmentVariableError: one is malformed; the text names it.
        """
        for name in ("VSYNC_DATABASE_URL", "VSYNC_DAGSTER_DATABASE_URL", "VSYNC_RETENTION_DATABASE_URL"):
            if self.variables.get(name):
                self._url(name, ("postgresql", "postgres"), "postgresql://user@host/database")
        if self.variables.get("VSYNC_ENCRYPTION_KEYS"):
            _ = self.encryption_keys
        _ = self.first_day, self.pulsar_url, self.alertmanager_url, self.dagster_url, self.alert_urls
        _ = self.budget_wait_seconds, self.lease_seconds, self.lease_wait_seconds
        _ = self.alert_repeat, self.clock_limits

    @property
    def home(self) -> Path:
        """`VSYNC_HOME`: embedded data, spooled reports and, by default, snapshots."""
        return Path(self.variables.get("VSYNC_HOME") or DEFAULT_HOME).absolute()

    @property
    def database_url(self) -> str:
        """`VSYNC_DATABASE_URL`: the participant's PostgreSQL."""
        return self._url("VSYNC_DATABASE_URL", ("postgresql", "postgres"), "postgresql://user@host/database")

    @property
    def retention_database_url(self) -> str:
        """`VSYNC_RETENTION_DATABASE_URL`: the same database, as a login with the role vsync_retention.

        By default that of VSYNC_DATABASE_URL, whose login the database then lets delete, or not.
        """
        name = "VSYNC_RETENTION_DATABASE_URL"
        if self.variables.get(name):
            return self._url(name, ("postgresql", "postgres"), "postgresql://user@host/database")
        return self.database_url

    @property
    def retention_database_variable(self) -> str:
        """The variable that `retention_database_url` is from."""
        name = "VSYNC_RETENTION_DATABASE_URL"
        return name if self.variables.get(name) else "VSYNC_DATABASE_URL"

    @property
    def has_database(self) -> bool:
        """Whether a database is named for Dagster's storage."""
        return any(self.variables.get(name) for name in ("VSYNC_DAGSTER_DATABASE_URL", "VSYNC_DATABASE_URL"))

    @property
    def dagster_database_url(self) -> str:
        """`VSYNC_DAGSTER_DATABASE_URL`: Dagster's storage; by default a schema of its own in our database."""
        name = "VSYNC_DAGSTER_DATABASE_URL"
        if self.variables.get(name):
            return self._url(name, ("postgresql",), "postgresql://user@host/database")
        return Database(self.database_url).sqlalchemy_url(DAGSTER_SCHEMA)

    @property
    def dagster_database_variable(self) -> str:
        """The variable that `dagster_database_url` is from."""
        name = "VSYNC_DAGSTER_DATABASE_URL"
        return name if self.variables.get(name) else "VSYNC_DATABASE_URL"

    @property
    def dict_settings(self) -> DictSettings:
        """How to reach DICT: `VSYNC_DICT_*` and `VSYNC_SIGNING_*`, and the files that they name."""
        return read_dict_settings(self.variables)

    @property
    def download_folder(self) -> Path:
        """`VSYNC_DOWNLOAD_FOLDER`: where CID files are while a run reads them; by default in `VSYNC_HOME`."""
        return Path(self.variables.get("VSYNC_DOWNLOAD_FOLDER") or self.home / "downloads").absolute()

    @property
    def min_download_rate(self) -> float:
        """`VSYNC_DOWNLOAD_MIN_RATE`: the fewest bytes a second at which a CID file's download goes on."""
        name, value = "VSYNC_DOWNLOAD_MIN_RATE", self.variables.get("VSYNC_DOWNLOAD_MIN_RATE")
        if not value:
            return SLOWEST_DOWNLOAD
        if not re.fullmatch("[1-9][0-9]{0,11}", value):
            raise EnvironmentVariableError(f"{name} is malformed; it is a number of bytes per second, such as 1000000")
        return float(value)

    @property
    def why_unverified(self) -> str | None:
        """Why DICT's answers are believed without its signature, for reports; None where they must carry it."""
        return why_unverified(self.variables)

    @property
    def budget_wait_seconds(self) -> float:
        """`VSYNC_BUDGET_WAIT_SECONDS`: the longest that a sync waits for DICT's budgets; default an hour."""
        return self._seconds("VSYNC_BUDGET_WAIT_SECONDS", _BUDGET_WAIT_SECONDS)

    @property
    def encryption_keys(self) -> tuple[bytes, ...]:
        """`VSYNC_ENCRYPTION_KEYS`: 32 bytes each in url-safe base64, separated by commas, the newest first."""
        name = "VSYNC_ENCRYPTION_KEYS"
        value = self.variables.get(name)
        if not value:
            raise EnvironmentVariableError(f"{name} is not set; `vsync keys generate` makes a key for it")
        keys = tuple(_decoded(text.strip()) for text in value.split(","))
        if any(len(key) != _KEY_BYTES for key in keys):
            # Not quoted: it is a secret.
            raise EnvironmentVariableError(
                f"{name} is malformed; it holds keys of 32 bytes in url-safe base64, separated by commas, newest first"
            )
        return keys

    @property
    def storage_url(self) -> str:
        """`VSYNC_STORAGE_URL`: where snapshots go, a path or an fsspec URL."""
        return self.variables.get("VSYNC_STORAGE_URL") or str(self.home / "snapshots")

    @property
    def pulsar_url(self) -> str | None:
        """`VSYNC_PULSAR_URL`: the broker; without one, events stay in the outbox."""
        return self._optional_url("VSYNC_PULSAR_URL", ("pulsar", "pulsar+ssl"), "pulsar://host:6650")

    @property
    def pulsar_topic(self) -> str:
        """`VSYNC_PULSAR_TOPIC`: the topic of all events."""
        return self.variables.get("VSYNC_PULSAR_TOPIC") or DEFAULT_TOPIC

    @property
    def first_day(self) -> date:
        """`VSYNC_FIRST_DAY`: the first day that has partitions; it must not change while a backfill runs."""
        name = "VSYNC_FIRST_DAY"
        try:
            return date.fromisoformat(self.variables.get(name) or FIRST_DAY)
        except ValueError:
            raise EnvironmentVariableError(f"{name} is malformed; it is a day, such as {FIRST_DAY}") from None

    @property
    def lease_seconds(self) -> float:
        """`VSYNC_LEASE_SECONDS`: how long after a run's process died another run may take its participant over."""
        return self._seconds("VSYNC_LEASE_SECONDS", _LEASE_SECONDS, least=1)

    @property
    def lease_wait_seconds(self) -> float:
        """`VSYNC_LEASE_WAIT_SECONDS`: how long a run waits for another that works on the same participant."""
        return self._seconds("VSYNC_LEASE_WAIT_SECONDS", _LEASE_WAIT_SECONDS)

    @property
    def alert_urls(self) -> list[tuple[str, str]]:
        """`VSYNC_ALERT_URLS`: severity and apprise URL of each target, such as `critical=slack://…,warning=mailto://…`.

        A comma parts two targets only before a severity, since URLs may hold commas too.

        Raises:
            EnvironmentVariableError: an entry is not a severity and a URL. It is not quoted, since it is a secret.
        """
        value = self.variables.get("VSYNC_ALERT_URLS", "").strip()
        entries = re.split(r"[,\s]+(?=[a-z]+=[a-z0-9]+://)", value) if value else []
        parsed = [(severity, url) for severity, _, url in (entry.partition("=") for entry in entries)]
        for number, (severity, url) in enumerate(parsed, 1):
            if severity not in set(Severity) or not re.match("[a-z0-9]+://", url):
                raise malformed_alert_url(number)
        return parsed

    @property
    def alert_repeat(self) -> timedelta:
        """`VSYNC_ALERT_REPEAT_HOURS`: when an alert that still stands is told again; default 24."""
        return self._hours("VSYNC_ALERT_REPEAT_HOURS", _ALERT_REPEAT)

    @property
    def clock_limits(self) -> ClockLimits:
        """When a participant's clocks ring, in whole hours; the metrics hand them on to Prometheus' rules.

        `VSYNC_NOT_ANSWERED_WARNING_HOURS` and `VSYNC_NOT_ANSWERED_CRITICAL_HOURS`: without any answer of DICT's;
        `VSYNC_NOT_OK_HOURS`: without its OK; `VSYNC_NOT_READ_WHOLE_HOURS`: without a whole read of the table.
        """
        default = ClockLimits()
        limits = ClockLimits(
            answered_warning=self._hours("VSYNC_NOT_ANSWERED_WARNING_HOURS", default.answered_warning),
            answered_critical=self._hours("VSYNC_NOT_ANSWERED_CRITICAL_HOURS", default.answered_critical),
            ok=self._hours("VSYNC_NOT_OK_HOURS", default.ok),
            read_whole=self._hours("VSYNC_NOT_READ_WHOLE_HOURS", default.read_whole),
        )
        if not limits.answered_warning <= limits.answered_critical <= LONGEST_INTERVAL:
            raise EnvironmentVariableError(
                "VSYNC_NOT_ANSWERED_CRITICAL_HOURS is malformed; it is not below VSYNC_NOT_ANSWERED_WARNING_HOURS, nor"
                " above the 36 hours that DICT's manual permits"
            )
        return limits

    @property
    def alertmanager_url(self) -> str | None:
        """`VSYNC_ALERTMANAGER_URL`: an Alertmanager that is told of alerts too."""
        return self._optional_url("VSYNC_ALERTMANAGER_URL", ("http", "https"), "http://host:9093")

    @property
    def dagster_url(self) -> str | None:
        """`VSYNC_DAGSTER_URL`: where people reach Dagster's UI, for the links in alerts."""
        return self._optional_url("VSYNC_DAGSTER_URL", ("http", "https"), "https://dagster.example")

    def run_link(self, run_id: str) -> str | None:
        """Return the URL of a run in Dagster's UI; None where nobody said where that is."""
        return f"{self.dagster_url.rstrip('/')}/runs/{run_id}" if self.dagster_url else None

    @property
    def docs_url(self) -> str:
        """`VSYNC_DOCS_URL`: where people reach these documents, with a slash at its end; default `docs/`."""
        url = self._optional_url("VSYNC_DOCS_URL", ("http", "https"), "https://git.example/vsync/docs/")
        return f"{url.rstrip('/')}/" if url else DEFAULT_DOCS

    def message_link(self, error: BaseException) -> str:
        """Return where the documents say what to do about an error."""
        return self.heading(getattr(error, "code", UNEXPECTED))

    def heading(self, code: str) -> str:
        """Return the link to one of the headings of docs/messages.md."""
        try:
            docs = self.docs_url
        except EnvironmentVariableError:  # which may be the very error at hand
            docs = DEFAULT_DOCS
        return f"{docs}messages.md#{code}"

    def with_link(self, error: BaseException) -> str:
        """Return an error's text, with where the documents say what to do about it."""
        return f"{error} (see {self.message_link(error)})"

    def runbook(self, alert: str) -> str:
        """Return where the documents say what to do about an alert: a URL if VSYNC_DOCS_URL is set, else a path."""
        return f"{self.docs_url}runbooks.md#{alert.lower()}"

    def _seconds(self, name: str, default: int, least: int = 0) -> float:
        value = self.variables.get(name) or str(default)
        if not re.fullmatch("[0-9]{1,9}", value) or int(value) < least:
            raise EnvironmentVariableError(f"{name} is malformed; it is a number of seconds, such as {default}")
        return float(value)

    def _hours(self, name: str, default: timedelta) -> timedelta:
        value = self.variables.get(name)
        if not value:
            return default
        if not re.fullmatch("[1-9][0-9]{0,4}", value):
            raise EnvironmentVariableError(f"{name} is malformed; it is a number of hours, such as 24")
        return timedelta(hours=int(value))

    def _optional_url(self, name: str, schemes: tuple[str, ...], example: str) -> str | None:
        return self._url(name, schemes, example) if self.variables.get(name) else None

    def _url(self, name: str, schemes: tuple[str, ...], example: str) -> str:
        value = self.variables.get(name)
        if not value:
            raise EnvironmentVariableError(f"{name} is not set; set it, for example, to {example}")
        try:
            scheme = urlsplit(value).scheme
        except ValueError:
            scheme = ""
        if scheme not in schemes:
            # The value is not quoted: it can hold a password.
            raise EnvironmentVariableError(f"{name} is malformed; it looks like {example}")
        return value


def malformed_alert_url(number: int) -> EnvironmentVariableError:
    """Return the error of an entry of `VSYNC_ALERT_URLS`, counted from 1; it does not quote the entry."""
    return EnvironmentVariableError(
        f"VSYNC_ALERT_URLS is malformed at its entry {number}; it looks like critical=slack://…,warning=mailto://…,"
        " with the URLs of apprise"
    )


def _decoded(text: str) -> bytes:
    """Return the bytes of url-safe base64, with or without its padding; none where it is something else."""
    try:
        return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return b""
