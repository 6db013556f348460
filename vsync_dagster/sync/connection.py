"""A connection to DICT that speaks for one participant."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx

from vsync_dagster.dict_api.budget import DOCUMENTED
from vsync_dagster.dict_api.certificates import check_dates, ending_soon
from vsync_dagster.dict_api.cid_file import DownloadRule
from vsync_dagster.dict_api.client import DictClient
from vsync_dagster.dict_api.errors import DictRejectedError
from vsync_dagster.dict_api.exchange import http_client
from vsync_dagster.dict_api.settings import DictSettings
from vsync_dagster.environment import Environment
from vsync_dagster.local_db import participants
from vsync_dagster.local_db.budgets import SharedBudget
from vsync_dagster.local_db.database import Database, Session
from vsync_dagster.sync import sharing
from vsync_dagster.sync.allowance import Allowance
from vsync_dagster.sync.evidence import CallRecorder

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DictConnection:
    """A client that speaks for one participant, and the HTTP connections under it (CID files come over them too)."""

    client: DictClient
    http: httpx.Client
    downloads: DownloadRule
    download_folder: Path
    min_download_rate: float
    allowance: Allowance


@contextmanager
def connect_dict(
    variables: Environment,
    database: Database,
    ispb: str,
    run_id: str | None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Iterator[DictConnection]:
    """Connect as a participant, or as the direct participant that acts for it.

    Every call is written down. The budgets are those of the participant that the calls are about, or of its direct
    participant, where DICT is seen to charge that one.

    Raises:
        EnvironmentVariableError: a variable that concerns DICT is missing or malformed.
        CertificateExpiredError: a certificate is out of its time; nothing was sent.
        PermanentError: the participant is not registered.
    """
    settings, longest_wait = variables.dict_settings, variables.budget_wait_seconds
    check_dates(settings.certificates, now())
    _warn(settings, now())
    participant = database.retrying(lambda connection: participants.get(connection, ispb))
    with (
        # A call that was made is evidence, also that of a run which may write nothing else any more.
        Session(database.unguarded()) as evidence,
        CallRecorder(evidence, run_id, variables.heading("clock")) as recorder,
        Session(database) as budgets,
        http_client(settings.url, ssl_context=settings.ssl_context, host=settings.host) as http,
    ):

        def budget_of(scope: str) -> SharedBudget:
            return SharedBudget(database, scope, DOCUMENTED, session=budgets, max_wait=longest_wait)

        def client_of(participant: str, budget: SharedBudget) -> DictClient:
            return DictClient(
                http,
                participant=participant,
                budget=budget,
                record=recorder.record,
                sign=settings.sign,
                verify=settings.verify,
            )

        budget, via = budget_of(ispb), participant.via
        if via is not None and sharing.is_charged_for(budgets, client_of(via, budget_of(via)), client_of(ispb, budget)):
            budget = budget_of(via)
        client = client_of(ispb, budget)
        with budget.learning() as is_due:
            if is_due:
                _learn_limits(client)
        yield DictConnection(
            client,
            http,
            settings.downloads,
            variables.download_folder,
            variables.min_download_rate,
            Allowance(budget, longest_wait),
        )


def _warn(settings: DictSettings, now: datetime) -> None:
    if settings.unverified:
        _log.warning("%s", settings.unverified)
    for warning in settings.warnings:
        _log.warning("%s", warning)
    for certificate in ending_soon(settings.certificates, now):
        _log.warning(
            "the certificate %x of %s ends on %s, in %.0f days: renew it",
            certificate.serial_number,
            certificate.variable,
            certificate.ends_at.date(),
            certificate.days_left(now),
        )


def _learn_limits(client: DictClient) -> None:
    """Ask DICT for its limits and what is left of them; where it does not say, the lower documented ones are kept."""
    try:
        client.list_policies()
    except DictRejectedError as error:
        _log.warning("DICT does not tell its limits (%s); keeping to the documented ones", error)
