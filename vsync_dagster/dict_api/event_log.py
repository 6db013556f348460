"""Reading DICT's log of CID set events, page by page, and checking that it is whole.

Source: DICT API 2.12.1, listCidSetEvents. A page's `SyncVerifierStart` is DICT's VSync *after* the page's first event,
`SyncVerifierEnd` the one after its last. The filter by time is inclusive, so that a page begins with the events that
have the same time as the last one of the page before, in no promised order.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from vsync_dagster.dict_api.client import MAX_EVENTS_A_PAGE, DictClient
from vsync_dagster.dict_api.errors import EventLogError, LogTooLongError
from vsync_dagster.dict_api.messages import CidSetEvent, ListCidSetEventsResponse
from vsync_dagster.reconcile.vsync import EMPTY_VSYNC, xor

# As many as DICT's budget holds; a CID file costs less than more of them.
MAX_PAGES = 100


@dataclass(frozen=True, slots=True)
class EventLog:
    """The events since a time, in the order of the log, each once.

    `verifier_before` and `verifier_end` are DICT's VSync before the first and after the last of them, None where there
    is no event: the log then does not tell the VSync. `read_at` is DICT's time of the last page.
    """

    events: tuple[CidSetEvent, ...]
    verifier_before: bytes | None
    verifier_end: bytes | None
    read_at: datetime


def read_events(
    client: DictClient,
    key_type: str,
    start: datetime | None,
    page_limit: int = MAX_EVENTS_A_PAGE,
    max_pages: int = MAX_PAGES,
) -> EventLog:
    """Read the log of a key type from `start` (inclusive; None: from its beginning) to its end.

    Raises:
        LogTooLongError: there are more than `max_pages` pages.
        EventLogError: the pages contradict themselves or one another, or cannot be paged through.
        VsyncError: what the client raises.
    """
    page = client.list_cid_set_events(key_type, start, limit=page_limit)
    _check_page(page, start)
    events = list(page.cid_set_events)
    before, end = (_verifier_before(page), _verifiers(page)[1]) if events else (None, None)
    for _ in range(max_pages - 1):
        if not page.has_more_elements:
            break
        since = _page_edge(page, page_limit)
        previous, page = page, client.list_cid_set_events(key_type, since, limit=page_limit)
        _check_page(page, since)
        events += _new_events(previous, page)
        end = _verifiers(page)[1]
    if page.has_more_elements:
        raise LogTooLongError(f"the CID event log has more than {max_pages} pages")
    return EventLog(tuple(events), before, end, page.response_time)


def _check_page(page: ListCidSetEventsResponse, since: datetime | None) -> None:
    """Check what a page says about itself."""
    events = page.cid_set_events
    if not events:
        if page.has_more_elements:
            raise EventLogError("a page of the CID event log is empty and not the last; the CID file is needed")
        return
    if any(event.type not in ("ADDED", "REMOVED") for event in events):
        raise EventLogError("the CID event log has an event of an unknown type; the CID file is needed")
    times = [event.timestamp for event in events]
    # The request's StartTime went out in whole milliseconds, rounded down.
    starts_too_early = since is not None and times[0] < since.replace(microsecond=since.microsecond // 1000 * 1000)
    if starts_too_early or any(later < earlier for earlier, later in pairwise(times)):
        raise EventLogError("the CID event log goes back in time; the CID file is needed")
    verifier_start, verifier_end = _verifiers(page)
    if xor(verifier_start, _xor_all(events[1:])) != verifier_end:
        raise EventLogError("a page of the CID event log contradicts its SyncVerifiers; the CID file is needed")


def _page_edge(page: ListCidSetEventsResponse, page_limit: int) -> datetime:
    """Return the time to read the next page from."""
    first, last = page.cid_set_events[0].timestamp, page.cid_set_events[-1].timestamp
    if first == last:
        raise EventLogError(
            f"more than {page_limit} CID events have the same millisecond, and the log cannot be read past them; "
            "the CID file is needed"
        )
    return last


def _new_events(previous: ListCidSetEventsResponse, page: ListCidSetEventsResponse) -> list[CidSetEvent]:
    """Return the events of a page that the previous one did not have, once it is clear that it continues it."""
    if not page.cid_set_events:
        raise EventLogError("the CID event log lost events while it was read; the CID file is needed")
    edge = previous.cid_set_events[-1].timestamp
    older = [event for event in previous.cid_set_events if event.timestamp < edge]
    if _verifier_before(page) != xor(_verifier_before(previous), _xor_all(older)):
        raise EventLogError("two pages of the CID event log do not join; the CID file is needed")
    # The same CID can be added, removed and added within a millisecond: equal events are counted, not merged.
    repeated = Counter(event for event in previous.cid_set_events if event.timestamp == edge)
    new = []
    for event in page.cid_set_events:
        if repeated[event] > 0:
            repeated[event] -= 1
        else:
            new.append(event)
    if repeated.total():
        raise EventLogError("the CID event log skips events between two pages; the CID file is needed")
    return new


def _verifier_before(page: ListCidSetEventsResponse) -> bytes:
    return xor(_verifiers(page)[0], page.cid_set_events[0].cid)


def _verifiers(page: ListCidSetEventsResponse) -> tuple[bytes, bytes]:
    """Return the VSyncs after the first and the last event of a page that has events."""
    if page.sync_verifier_start is None or page.sync_verifier_end is None:
        raise EventLogError("a page of the CID event log lacks its SyncVerifiers; the CID file is needed")
    return page.sync_verifier_start, page.sync_verifier_end


def _xor_all(events: Iterable[CidSetEvent]) -> bytes:
    total = EMPTY_VSYNC
    for event in events:
        total = xor(total, event.cid)
    return total
