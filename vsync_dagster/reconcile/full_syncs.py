"""Whose turn it is to be synced in full: everybody once a week, as far as DICT grants CID files.

Source: DICT API 2.12.1, "Limitação de requisições": each ISPB has a bucket of CIDS_FILES_WRITE of its own. Where DICT
was seen to charge the direct participant, all for whom it acts share one.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from vsync_dagster.reconcile.keys import KeyType
from vsync_dagster.reconcile.plan import Bucket

# A week, less the hours that a sync may have waited for its turn in the queue a week ago.
DUE_AFTER = timedelta(days=6, hours=12)
_FILES = len(KeyType)
# Of a bucket, for syncs that need a CID file because the event log does not explain a difference.
_LEFT = 1 / 2


@dataclass(frozen=True, slots=True)
class LastFull:
    """When a participant's last FULL syncs began: the last of all, and the last that did not fail; None for none.

    `scope` is the participant whose budget they cost.
    """

    ispb: str
    scope: str
    tried_at: datetime | None
    done_at: datetime | None


def due(participants: Iterable[LastFull], buckets: Mapping[str, Bucket], unused: Bucket, now: datetime) -> list[str]:
    """Return the ISPBs whose turn it is, those first who have waited longest.

    Args:
        participants: all that are enabled.
        buckets: of CID files, by scope.
        unused: the bucket of a scope that is not among them.
        now: with a zone.
    """
    waiting = [each for each in participants if each.done_at is None or now - each.done_at > DUE_AFTER]
    room = {each.scope: _syncs_within(buckets.get(each.scope, unused)) for each in waiting}
    turn = list[str]()
    for each in sorted(waiting, key=lambda one: (one.tried_at is not None, one.tried_at or now, one.ispb)):
        if room[each.scope] > 0:
            room[each.scope] -= 1
            turn.append(each.ispb)
    return turn


def _syncs_within(bucket: Bucket) -> int:
    """Return how many FULL syncs leave enough of a bucket; a bucket that is full has one in it, however small it is."""
    left = min(bucket.capacity * _LEFT, bucket.capacity - _FILES)
    return max(math.floor((bucket.tokens - left) / _FILES), 0)
