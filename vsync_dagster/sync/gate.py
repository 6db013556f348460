"""The gate before anything is written: a sync that would change too much waits for a person."""

from collections import Counter
from collections.abc import Collection

import polars as pl

from vsync_dagster.local_db import mass_changes, reports
from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.mass_changes import MassChange
from vsync_dagster.partitions import SyncPartition
from vsync_dagster.reconcile.discrepancies import Kind
from vsync_dagster.reconcile.errors import RefusedError
from vsync_dagster.reconcile.mass_change import Limit, Permission, objection, shrinkage
from vsync_dagster.sync.verification import LocalSet


class MassChangeError(RefusedError):
    """A sync would change more keys than it may unasked; nothing was written."""


def check_mass_change(
    database: Database,
    run_id: str,
    partition: SyncPartition,
    discrepancies: pl.DataFrame,
    ours: Collection[LocalSet],
    limit: Limit,
    permission: Permission | None,
) -> None:
    """Refuse a repair that would change too much, or that rests on a DICT set which has lost too much.

    Unless a person lets it go on: who and why is then kept. Where nothing is to be changed, nothing is refused.

    Args:
        database: where the permit is written down.
        run_id: the run that asks; a permit is for this run alone.
        partition: the run's partition.
        discrepancies: rows of `DISCREPANCY_SCHEMA` to be repaired; none is of a key that is under review already. Those
            that are pending count too: a change that is made bit by bit, by several syncs, is no smaller.
        ours: our sets, as compared.
        limit: what may change unasked.
        permission: who lets it go on, and why; None where nobody does.

    Raises:
        MassChangeError: it would, and nobody allowed it.
    """
    keys = sum(each.entries for each in ours)
    why = objection(len(discrepancies), keys, limit)
    if why is None and not discrepancies.is_empty():
        verified = database.retrying(lambda connection: reports.last_verified_keys(connection, partition.ispb))
        why = shrinkage(verified, _dict_keys(ours, discrepancies), limit)
    if why is None:
        return
    if permission is None:
        raise MassChangeError(
            f"{why}; nothing was changed. Look at it with --dry-run; if it is right, let this one sync go on with"
            " --allow-mass-change --reason TEXT"
        )
    permit = MassChange(
        run_id, partition.ispb, partition.day, len(discrepancies), keys, permission.person, permission.reason
    )
    database.retrying(lambda connection: mass_changes.record(connection, permit))


def _dict_keys(ours: Collection[LocalSet], discrepancies: pl.DataFrame) -> int:
    """Return how many keys DICT holds: ours without those under review, and what differs."""
    kinds = Counter(discrepancies["kind"].to_list())
    shared = sum(each.entries - len(each.under_review) for each in ours)
    return shared + kinds[Kind.MISSING_LOCAL.value] - kinds[Kind.MISSING_BACEN.value]
