"""The table of faults in docs/reliability.md, made by the tests that inject them.

Each such test carries `@fault(where, what, outcome)`. `make reliability` runs them all and writes the rows of those
that passed; where one failed, the table stays as it was.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pytest

DOCUMENT = Path(__file__).parents[1] / "docs" / "reliability.md"
_TABLE = re.compile(r"(?<=<!-- faults -->\n).*(?=<!-- end of faults -->)", re.DOTALL)


class Fault(NamedTuple):
    """A row of the table."""

    where: str
    what: str
    outcome: str

    def row(self) -> str:
        """Return the row in Markdown."""
        return f"| {self.where} | {self.what} | {self.outcome} |"


def fault(where: str, what: str, outcome: str) -> pytest.MarkDecorator:
    """Mark a test with what it injects, and what it asserts to come of it."""
    return pytest.mark.fault(Fault(where, what, outcome))


def fault_of(item: pytest.Item) -> Fault | None:
    """Return what a test is marked with."""
    marker = item.get_closest_marker("fault")
    return marker.args[0] if marker else None


def written_rows() -> set[str]:
    """Return the rows that the document has."""
    found = _TABLE.search(DOCUMENT.read_text("utf-8"))
    assert found is not None
    return set(found[0].splitlines()[2:])


def write(faults: Iterable[Fault]) -> None:
    """Replace the document's table."""
    rows = [each.row() for each in sorted(set(faults))]
    table = "\n".join(("| Where | What goes wrong | What comes of it |", "|---|---|---|", *rows, ""))
    DOCUMENT.write_text(_TABLE.sub(lambda _: table, DOCUMENT.read_text("utf-8")), "utf-8")
