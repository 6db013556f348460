"""The difference between our CID set and DICT's, and the identity that proves it.

DICT's set is known in one of two ways. From a CID file it is compared as a whole. From the event logs it is derived:
at the last verification both sets were equal (but for CIDs then under review), so only CIDs that either log names
since then can differ. Both ways end in `check`, which holds whatever the method was.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from vsync_dagster.reconcile.cid_set import CidStream, Tally
from vsync_dagster.reconcile.errors import RefusedError
from vsync_dagster.reconcile.set_events import SetEvent, first_effects
from vsync_dagster.reconcile.sketch import Sketch, Suspects
from vsync_dagster.reconcile.vsync import vsync, xor


class ComparisonError(RefusedError):
    """The differences found do not account for the two VSyncs: the comparison is wrong, so nothing is repaired."""


class DuplicateCidError(ComparisonError):
    """A CID stands twice in what must be a set; in an XOR the pair would vanish, and the set seem to be without it."""

    code = "comparison"

    def __init__(self, where: str) -> None:
        super().__init__(f"{where} has a CID twice; nothing of it is used")


@dataclass(frozen=True, slots=True)
class SetDifference:
    """CIDs that only we hold and CIDs that only DICT holds, of one key type."""

    only_ours: frozenset[bytes]
    only_theirs: frozenset[bytes]

    def vsync(self) -> bytes:
        """Return the XOR of all CIDs that differ."""
        return vsync(self.only_ours | self.only_theirs)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two whole sets, told apart: the difference, and what each side came to."""

    found: SetDifference
    ours: Tally
    theirs: Tally


def compare(ours: CidStream, theirs: CidStream, our_count: int) -> Comparison:
    """Compare two whole sets, in memory that grows with their differences and not with their sizes.

    Each is streamed into a sketch, and streamed again for what the two sketches do not have in common. `our_count`
    sizes the sketches and bears on nothing else.

    Raises:
        DuplicateCidError: a side has a CID more often than the other, and more than once.
        ComparisonError: the differences found do not add up to both sides.
    """
    our_tally, our_sketch = _summed(our_count, ours)
    their_tally, their_sketch = _summed(our_count, theirs)
    suspects = our_sketch.unlike(their_sketch)
    our_rest, their_rest = _fetch(suspects, ours, "our snapshot"), _fetch(suspects, theirs, "DICT's CID file")
    found = SetDifference(our_rest - their_rest, their_rest - our_rest)
    check(our_tally.vsync, their_tally.vsync, found)
    check_counts(our_tally.count, their_tally.count, found)
    return Comparison(found, our_tally, their_tally)


def _summed(keys: int, cids: CidStream) -> tuple[Tally, Sketch]:
    tally, sketch = Tally(), Sketch(keys)
    for block in cids.blocks():
        tally.add(block)
        sketch.add(block)
    return tally, sketch


def _fetch(suspects: Suspects, cids: CidStream, name: str) -> frozenset[bytes]:
    if not suspects:
        return frozenset()
    rows = [row.tobytes() for block in cids.chosen(suspects.among) for row in block]
    found = frozenset(rows)
    if len(found) != len(rows):
        raise DuplicateCidError(name)
    return found


def since_verified(
    ours: Collection[bytes], own_events: Sequence[SetEvent], taken_out: Collection[bytes]
) -> SetDifference:
    """Return how our set differs from DICT's set as it was at the last verification.

    Args:
        ours: those of the CIDs named in the other arguments that we hold now.
        own_events: our own ledger since that verification, in the order it was written.
        taken_out: CIDs under review then: we held them, DICT did not.
    """
    theirs_then = first_effects(own_events) | dict.fromkeys(taken_out, False)
    return SetDifference(
        only_ours=frozenset(cid for cid, held in theirs_then.items() if not held and cid in ours),
        only_theirs=frozenset(cid for cid, held in theirs_then.items() if held and cid not in ours),
    )


def after_events(before: SetDifference, ours: Collection[bytes], held: Mapping[bytes, bool]) -> SetDifference:
    """Return the difference after DICT's set has changed.

    Args:
        before: the difference to DICT's set as it was.
        ours: those of the CIDs in `held` that we hold.
        held: CIDs that DICT's log names, and whether DICT holds them after it.
    """
    named = held.keys()
    return SetDifference(
        only_ours=(before.only_ours - named) | {cid for cid in named if cid in ours and not held[cid]},
        only_theirs=(before.only_theirs - named) | {cid for cid in named if cid not in ours and held[cid]},
    )


def check(our_vsync: bytes, their_vsync: bytes, found: SetDifference) -> None:
    """Check that XOR of ours, XOR of theirs and XOR of all differences cancel out.

    Raises:
        ComparisonError: they do not.
    """
    if xor(our_vsync, their_vsync) != found.vsync():
        raise ComparisonError("the differences found do not add up to the two VSyncs")


def check_differs(found: SetDifference) -> None:
    """Check that there is a difference at all, where DICT has said that the sets are not equal.

    Raises:
        ComparisonError: whatever was compared with is not the set that DICT verifies by.
    """
    if not found.only_ours and not found.only_theirs:
        raise ComparisonError("no difference was found where DICT says that there is one")


def check_counts(our_count: int, their_count: int, found: SetDifference) -> None:
    """Check that the two sets' sizes and the differences add up; a CID given twice cancels in an XOR, not here.

    Raises:
        ComparisonError: they do not.
    """
    if our_count - len(found.only_ours) != their_count - len(found.only_theirs):
        raise ComparisonError("the differences found do not add up to the two counts")
