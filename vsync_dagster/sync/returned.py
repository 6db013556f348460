"""Which keys under review DICT turns out to hold after all."""

import polars as pl

from vsync_dagster.reconcile.status import Proof, Source
from vsync_dagster.sync.facts import DictFacts, LocalFacts


def returned_cids(ours: LocalFacts, dict_facts: DictFacts, local_only: pl.DataFrame) -> frozenset[bytes]:
    """Return the CIDs that are under review here and that DICT holds.

    Args:
        local_only: rows of `LOCAL_ONLY_SCHEMA`; tells of the key types that were NOK and compared only.
    """
    missing = frozenset(local_only["cid"])
    returned = frozenset[bytes]()
    for name, facts in dict_facts.key_types.items():
        under_review = ours.sets[name].under_review
        if facts.proof is Proof.VSYNC:
            returned |= under_review
        elif facts.proof is None and facts.source is not Source.PENDING:
            returned |= under_review - missing
    return returned
