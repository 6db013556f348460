"""Measures one way of doing something in a process of its own: seconds, and the peak of that process's memory."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from types import MappingProxyType

# The interpreter of `make bench-peers`.
PEERS = Path(__file__).parents[1] / ".venv-peers" / "bin" / "python"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a case finds its data: the folder that keeps them, the database's URL, and how many keys there are."""

    folder: str
    url: str
    keys: int


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds of the work alone, without imports, and MiB of the whole process at its peak."""

    seconds: float
    peak_mib: float


def measure(case: str, way: str, place: Place, python: str = sys.executable) -> Measured:
    """Run the function `way` of a case's module in a new process; it may return the seconds that count."""
    done = subprocess.run(
        [python, "-m", "benchmarks.measure", case, way, json.dumps(asdict(place))],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return Measured(**json.loads(done.stdout))


def best(
    case: str, ways: list[str], place: Place, rounds: int, pythons: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Measured]:
    """Measure several ways in turn, and keep each one's fastest round: what else the machine does only slows down.

    `pythons` names the interpreter of a way that takes another than ours.
    """
    found: dict[str, Measured] = {}
    for _ in range(rounds):
        for way in ways:
            now = measure(case, way, place, pythons.get(way, sys.executable))
            if way not in found or now.seconds < found[way].seconds:
                found[way] = now
    return found


def _main() -> None:
    case, way, place = sys.argv[1:]
    module = import_module(f"benchmarks.cases.{case}")
    work: Callable[[Place], float | None] = getattr(module, way)
    prepare: Callable[[Place], None] | None = getattr(module, f"prepare_{way}", None)
    with redirect_stdout(sys.stderr):
        if prepare is not None:
            prepare(Place(**json.loads(place)))
        started = time.perf_counter()
        counted = work(Place(**json.loads(place)))
        seconds = time.perf_counter() - started if counted is None else counted
    sys.stdout.write(json.dumps({"seconds": seconds, "peak_mib": _peak_mib()}))


def _peak_mib() -> float:
    # Not getrusage: its maximum also counts the parent's memory at the fork.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


if __name__ == "__main__":
    _main()
