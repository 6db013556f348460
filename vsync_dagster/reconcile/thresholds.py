"""From when on a sync's figures are worth a look."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Figures:
    """What one sync took and found; also what each figure may be, which is exceeded by more, not by as much.

    `error_rate` is the share of the fixes that failed, from 0 to 1. A figure that is not known is None.
    """

    duration_seconds: float | None
    discrepancies: float | None
    error_rate: float | None
    fixes_failed: float | None
    missing_bacen: float | None


def within(found: Figures, limits: Figures) -> Mapping[str, bool]:
    """Return for each figure that is known whether it is within its limit."""
    allowed, known = asdict(limits), {name: value for name, value in asdict(found).items() if value is not None}
    return {name: value <= allowed[name] for name, value in known.items()}


def error_rate(failed: int, made: int) -> float:
    """Return the share of the fixes that failed; 0 where none was tried."""
    return failed / (failed + made) if failed else 0.0
