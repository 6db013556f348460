"""Where alerts are told: a service that `apprise` knows (Slack, Teams, mail, PagerDuty, a webhook), or Alertmanager.

A target's address is a secret. It is in no error, no log and no name: `apprise` and `urllib3` quote parts of it in
their logs, which are therefore not heard.
"""

import hashlib
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

import httpx

from vsync_dagster.environment import Environment, malformed_alert_url
from vsync_dagster.local_db.alert_targets import Message
from vsync_dagster.local_db.alerts import RaisedAlert, Severity
from vsync_dagster.reconcile.errors import EnvironmentVariableError, TransientError

if TYPE_CHECKING:
    import apprise

# Not `disabled`, which every later configuration of logging takes back, such as Dagster's.
logging.getLogger("apprise").addFilter(lambda _: False)
logging.getLogger("urllib3").setLevel(logging.WARNING)

ALERTMANAGER = "alertmanager"
_SILENCED_BY = "vsync"
_TIMEOUT_S = 10.0
# Alertmanager takes an alert for resolved that it has not heard of for so long: longer than a deployment takes.
_ALERTMANAGER_VALID = timedelta(minutes=15)
_ALERTMANAGER_REPEAT = timedelta(minutes=1)
# By the words that are the values of apprise's NotifyType.
_NOTIFY_TYPES: Mapping[Severity, str] = {
    Severity.INFO: "info",
    Severity.WARNING: "warning",
    Severity.CRITICAL: "failure",
}
_PASSWORD = re.compile(r"(?<=://)([^/@:]*):[^/@]*@")


class TargetError(TransientError):
    """A target did not take a message. `reason` tells nothing of its address."""

    code = "alert-target"

    def __init__(self, target: str, reason: str) -> None:
        super().__init__(f"the alert target {target} did not take a message: {reason}; it is tried again later")
        self.reason = reason


class Target(Protocol):
    """Somebody to tell. `name` says nothing of the address, `batch` is how many messages one call takes.

    `silences` says that the target keeps silenced alerts quiet by itself, and gets them too.
    """

    @property
    def name(self) -> str: ...
    @property
    def minimum(self) -> Severity: ...
    @property
    def repeat(self) -> timedelta: ...
    @property
    def batch(self) -> int: ...
    @property
    def silences(self) -> bool: ...

    def tell(self, messages: Sequence[Message]) -> None:
        """Tell the messages, in their order.

        Raises:
            TargetError: they were not taken.
        """


@dataclass(frozen=True, slots=True)
class AppriseTarget:
    """A service that `apprise` knows by its URL."""

    name: str
    minimum: Severity
    repeat: timedelta
    _service: "apprise.Apprise" = field(repr=False)
    _runbook: Callable[[str], str] = field(repr=False)
    batch: int = 1
    silences: bool = False

    def tell(self, messages: Sequence[Message]) -> None:
        """Tell the messages, one notification each."""
        for message in messages:
            kind = "success" if message.is_recovery else _NOTIFY_TYPES[message.raised.alert.severity]
            if not self._service.notify(body=_body(message, self._runbook), title=_title(message), notify_type=kind):
                raise TargetError(self.name, "NotTaken")


@dataclass(frozen=True, slots=True)
class AlertmanagerTarget:
    """Alertmanager, which must hear of an alert again and again for as long as it stands.

    Source: Alertmanager's OpenAPI v2, `POST /alerts`.
    """

    _url: str = field(repr=False)
    _runbook: Callable[[str], str] = field(repr=False)
    name: str = ALERTMANAGER
    minimum: Severity = Severity.INFO
    repeat: timedelta = _ALERTMANAGER_REPEAT
    batch: int = 500
    # Not left out: Alertmanager takes what it does not hear of for resolved, and says so to people.
    silences: bool = True

    def tell(self, messages: Sequence[Message]) -> None:
        """Post all messages at once, and before them the silences of those that a person has silenced."""
        now = datetime.now(UTC)
        silenced = [message.raised for message in messages if message.raised.silenced_until]
        if silenced:
            self._silence(silenced, now)
        self._call("POST", "alerts", [_posted(message, self._runbook, now) for message in messages])

    def _silence(self, silenced: Sequence[RaisedAlert], now: datetime) -> None:
        """Have Alertmanager silence alerts, each by its label `fingerprint`; what it silences already stays.

        Source: Alertmanager's OpenAPI v2, `GET /silences` and `POST /silences`.
        """
        known = {}
        for each in self._call("GET", "silences").json():
            if each["createdBy"] == _SILENCED_BY and each["status"]["state"] == "active":
                known.update({matcher["value"]: each for matcher in each["matchers"]})
        for raised in silenced:
            wanted = _posted_silence(raised, now)
            had = known.get(raised.alert.fingerprint)
            if had is None:
                self._call("POST", "silences", wanted)
            elif had["endsAt"][:19] != str(wanted["endsAt"])[:19]:
                self._call("POST", "silences", {**wanted, "id": had["id"]})

    def _call(self, method: str, path: str, body: object = None) -> httpx.Response:
        url = f"{self._url.rstrip('/')}/api/v2/{path}"
        try:
            answer = httpx.request(method, url, json=body, timeout=_TIMEOUT_S)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise TargetError(self.name, type(error).__name__) from None
        if not answer.is_success:
            raise TargetError(self.name, f"HTTP {answer.status_code}")
        return answer


def read_targets(variables: Environment) -> list[Target]:
    """Return the targets that the environment names.

    Raises:
        EnvironmentVariableError: one is malformed; the text does not quote it.
    """
    targets: list[Target] = [
        _apprise_target(number, severity, url, variables)
        for number, (severity, url) in enumerate(variables.alert_urls, 1)
    ]
    if variables.alertmanager_url:
        targets.append(AlertmanagerTarget(variables.alertmanager_url, variables.runbook))
    if len({target.name for target in targets}) < len(targets):
        raise EnvironmentVariableError("VSYNC_ALERT_URLS names a target twice; name it once, with its lowest severity")
    return targets


def _apprise_target(number: int, severity: str, url: str, variables: Environment) -> Target:
    # Only a process that tells alerts waits for its import, which is a tenth of that of all else.
    import apprise

    service = apprise.Apprise()
    if not service.add(url):
        raise malformed_alert_url(number)
    # Without a password: a new one does not make it another target, and nothing here helps to guess it.
    digest = hashlib.sha256(_PASSWORD.sub(r"\1@", url).encode()).hexdigest()
    name = f"{url.split('://')[0]}-{digest[:8]}"
    return AppriseTarget(name, Severity(severity), variables.alert_repeat, service, variables.runbook)


def _title(message: Message) -> str:
    state = "resolved" if message.is_recovery else message.raised.alert.severity
    return f"[{state}] {message.raised.alert.title}"


def _body(message: Message, runbook: Callable[[str], str]) -> str:
    raised = message.raised
    since = f"since {raised.raised_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    if raised.resolved_at:
        since += f", until {raised.resolved_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    if raised.times_raised > 1:
        since += f", raised {raised.times_raised} times"
    lines = (raised.alert.text, f"{raised.alert.name}, {since}", raised.alert.link, runbook(raised.alert.name))
    return "\n".join(line for line in lines if line)


def _posted(message: Message, runbook: Callable[[str], str], now: datetime) -> dict[str, object]:
    raised, alert = message.raised, message.raised.alert
    where = runbook(alert.name)
    # Alertmanager's users expect a URL under the longer name.
    annotation = "runbook_url" if "://" in where else "runbook"
    posted: dict[str, object] = {
        "labels": {
            **alert.labels,
            "alertname": alert.name,
            "severity": alert.severity,
            "fingerprint": alert.fingerprint,
            "source": "vsync",
        },
        "annotations": {"summary": alert.title, "description": alert.text, annotation: where},
        "startsAt": raised.raised_at.isoformat(),
        "endsAt": (raised.resolved_at or now + _ALERTMANAGER_VALID).isoformat(),
    }
    return posted | ({"generatorURL": alert.link} if alert.link else {})


def _posted_silence(raised: RaisedAlert, now: datetime) -> dict[str, object]:
    matcher = {"name": "fingerprint", "value": raised.alert.fingerprint, "isRegex": False, "isEqual": True}
    return {
        "matchers": [matcher],
        "startsAt": now.isoformat(),
        "endsAt": raised.silenced_until and raised.silenced_until.astimezone(UTC).isoformat(),
        "createdBy": _SILENCED_BY,
        "comment": "silenced with `vsync alerts silence`, whose trail says by whom and why",
    }
