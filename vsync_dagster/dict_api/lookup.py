"""Looking up many entries by their CIDs, several at a time."""

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from queue import SimpleQueue

from vsync_dagster.dict_api.client import DictClient
from vsync_dagster.dict_api.errors import DictForbiddenError, DictNotFoundError, DictRejectedError
from vsync_dagster.reconcile.entry import Entry
from vsync_dagster.reconcile.ispb import other_spelling
from vsync_dagster.reconcile.look_up import Found

CONCURRENCY = 16


@dataclass(frozen=True, slots=True, repr=False)
class LookUp:
    """The answer about one CID; `entry` is there when it was FOUND. Personal data: has no repr.

    `response_time` is by DICT's clock, None where the answer was a problem document, which has no time.
    """

    cid: bytes
    outcome: Found
    entry: Entry | None
    correlation_id: str | None
    response_time: datetime | None


def look_up(client: DictClient, cids: Iterable[bytes], concurrency: int = CONCURRENCY) -> Iterator[LookUp]:
    """Look up each CID, `concurrency` at a time, and yield the answers as they come.

    When one look-up fails no further ones are begun; those under way are waited for and yielded, since they are paid
    for, and then the first failure is raised.

    Raises:
        VsyncError: what the client raises, except that 404 and 403 are outcomes.
    """
    waiting = iter(cids)
    ended: SimpleQueue[Future[LookUp]] = SimpleQueue()
    failure: BaseException | None = None
    with ThreadPoolExecutor(concurrency, thread_name_prefix="look-up") as pool:

        def begin(most: int) -> int:
            begun = [pool.submit(_look_up, client, cid) for cid in islice(waiting, most)]
            for future in begun:
                future.add_done_callback(ended.put)
            return len(begun)

        running = begin(concurrency)
        while running:
            future = ended.get()
            failure = failure or future.exception()
            running += begin(0 if failure else 1) - 1
            if future.exception() is None:
                yield future.result()
    if failure is not None:
        raise failure


def _look_up(client: DictClient, cid: bytes) -> LookUp:
    try:
        answer = client.get_entry_by_cid(cid)
    except DictNotFoundError as problem:
        return _without_entry(cid, Found.GONE, problem)
    except DictForbiddenError as problem:
        return _without_entry(cid, Found.NOT_OURS, problem)
    entry = answer.to_entry()
    outcome = _verdict(entry, cid, client.participant)
    found = entry if outcome is Found.FOUND else None
    return LookUp(cid, outcome, found, answer.correlation_id, answer.response_time)


def _verdict(entry: Entry, cid: bytes, participant: str) -> Found:
    if entry.cid() != cid:
        return Found.MISMATCH
    if other_spelling(entry.participant, participant):
        return Found.OTHER_SPELLING
    return Found.FOUND if entry.participant == participant else Found.NOT_OURS


def _without_entry(cid: bytes, outcome: Found, problem: DictRejectedError) -> LookUp:
    return LookUp(cid, outcome, None, problem.correlation_id, None)
