"""A connection to DICT that speaks for one participant."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from vsync_dagster.dict_api.budget import DOCUMENTED
from vsync_dagster.dict_api.client import DictClient
from vsync_dagster.dict_api.errors import DictRejectedError
from vsync_dagster.dict_api.exchange import http_client
from vsync_dagster.environment import Environment
from vsync_dagster.local_db import participants
from vsync_dagster.local_db.budgets import SharedBudget
from vsync_dagster.local_db.database import Database
from vsync_dagster.sync.evidence import CallRecorder

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DictConnection:
    """A client that speaks for one participant, and the HTTP connections under it (CID files come over them too)."""

    client: DictClient
    http: httpx.Client
    download_base: str | None


@contextmanager
def connect_dict(variables: Environment, database: Database, ispb: str, run_id: str | None) -> Iterator[DictConnection]:
    """Connect as a participant, or as the direct participant that acts for it.

    Every call is written down, and the budgets of whoever makes the calls are kept to.

    Raises:
        PermanentError: the participant is not registered, or VSYNC_DICT_URL is missing or malformed.
    """
    url, download_base = variables.dict_url, variables.dict_download_base
    participant = database.retrying(lambda connection: participants.get(connection, ispb))
    requester = participant.via or participant.ispb
    with CallRecorder(database, run_id) as recorder, http_client(url) as http:
        budget = SharedBudget(database, requester, DOCUMENTED)
        client = DictClient(
            http,
            participant=ispb,
            requester=requester,
            budget=budget,
            record=recorder.record,
            sign=lambda document: document,
            verify=lambda _: None,
        )
        if budget.is_stale():
            _learn_limits(client)
        yield DictConnection(client, http, download_base)


def _learn_limits(client: DictClient) -> None:
    """Ask DICT for its limits and what is left of them; where it does not say, the lower documented ones are kept."""
    try:
        client.list_policies()
    except DictRejectedError as error:
        _log.warning("DICT does not tell its limits (%s); keeping to the documented ones", error)
