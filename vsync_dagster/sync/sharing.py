"""Whether DICT charges a direct participant for the calls about its indirect ones.

By a staff answer of 2020 each ISPB has budgets of its own; API 2.12.1 gives the scope as "PSP" and says no more. So
DICT's own figures decide: POLICIES_LIST, which the question itself is charged to.
"""

import logging

from vsync_dagster.dict_api.budget import POLICIES_LIST
from vsync_dagster.dict_api.client import DictClient
from vsync_dagster.dict_api.errors import DictRejectedError
from vsync_dagster.local_db import budget_readings
from vsync_dagster.local_db.budget_readings import Subject
from vsync_dagster.local_db.database import Session
from vsync_dagster.reconcile.errors import BudgetExhaustedError

_log = logging.getLogger(__name__)


def is_one_bucket(before: int | None, between: int | None, after: int | None) -> bool:
    """Return whether three questions in a row were charged to one bucket, by the tokens that each was told.

    The first and the last are about the direct participant, the one between about the indirect. With buckets of their
    own the direct one's falls by one, and no number lies strictly between the two. None is a figure that DICT did not
    tell: then nothing was seen.
    """
    if before is None or between is None or after is None:
        return False
    return before > between > after


def is_charged_for(transactions: Session, direct: DictClient, indirect: DictClient) -> bool:
    """Return whether the direct participant pays for the indirect, and ask DICT if nobody has for a day.

    One answer stands for all indirect participants of the direct one: DICT is assumed to treat them, and all policies,
    alike.

    Raises:
        VsyncError: DICT or the database is down.
    """
    claim = budget_readings.claim(transactions, direct.participant, Subject.SHARING)
    if claim is not None:
        try:
            shared = is_one_bucket(*(_left(client) for client in (direct, indirect, direct)))
            transactions.retrying(lambda conn: budget_readings.answered(conn, claim, shared=shared))
        except (BudgetExhaustedError, DictRejectedError) as error:
            _log.warning("whether %s pays for %s is not known: %s", direct.participant, indirect.participant, error)
        finally:
            transactions.retrying(lambda conn: budget_readings.release(conn, claim))
    return transactions.retrying(lambda conn: budget_readings.indirects_share(conn, direct.participant))


def _left(client: DictClient) -> int | None:
    tokens = {policy.name: policy.available_tokens for policy in client.list_policies().policies}
    return tokens.get(POLICIES_LIST)
