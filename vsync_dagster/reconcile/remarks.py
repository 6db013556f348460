"""What a report remarks on beside its figures: the sync is not the worse for it, and somebody should know."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from vsync_dagster.reconcile.suggestion import Fact


def remarks(key_types: Mapping[str, Mapping[str, Any]]) -> list[Fact]:
    """Return the remarks of a report; nothing personal.

    Args:
        key_types: what the report says of each key type, as its JSON has it. Older reports have no such fields, and
            those of syncs that broke off have nothing in them.
    """
    facts = []
    alone = sum(told.get("request_id_alone") or 0 for told in key_types.values())
    if alone:
        # Manual Operacional do DICT, chapter 9; a claimed key's CID is made with CompleteClaimRequest's RequestId.
        facts.append(
            Fact(
                "{count} keys differ from DICT in the request id alone: store the RequestId of createEntry, and after a claim that of completeClaim",  # noqa: E501
                {"count": alone},
            )
        )
    facts += [
        Fact(
            "{count} entries were applied as DICT has signed them, though they break the rule {rule} of API 2.12.1",
            {"count": count, "rule": rule},
        )
        for rule, count in rules(key_types).items()
    ]
    return facts


def rules(key_types: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """Return how many of the applied entries break each rule of DICT's schema, over all key types."""
    total: Counter[str] = Counter()
    for told in key_types.values():
        total.update(told.get("broken_rules") or {})
    return dict(sorted(total.items()))
