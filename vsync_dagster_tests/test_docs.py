"""The documents name commands, files and sections that there are."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from vsync_dagster.cli.app import cli
from vsync_dagster_tests.deploy.test_monitoring import served

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
# In code only, between backticks or in a block, and not in SQL, where a database has the same name.
_SQL = re.compile(r"^```sql.*?^```", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"^```.*?^```|`[^`]+`", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"(?:^|[\s`(])(?:\.venv/bin/)?vsync( [^`\n|;&)#]*)")
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def commands(document: Path) -> Iterator[str]:
    for code in _CODE.findall(_SQL.sub("", document.read_text("utf-8"))):
        for arguments in _COMMAND.findall(code):
            yield arguments.replace("…", "X").strip()


def sections(document: Path) -> set[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def unknown_in(arguments: list[str]) -> list[str]:
    """Return what of a command line `vsync` does not know: a command, or an option of the command."""
    command: click.Command = cli
    while isinstance(command, click.Group) and arguments and not arguments[0].startswith("-"):
        name = arguments.pop(0)
        if name not in command.commands:
            return [name]
        command = command.commands[name]
    options = {option for parameter in command.params for option in parameter.opts} | {"--help", "--version"}
    return [word for word in arguments if word.startswith("--") and word.split("=")[0] not in options]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_of_a_document_is_one_that_there_is(document: Path) -> None:
    wrong = {command: unknown for command in commands(document) if (unknown := unknown_in(shlex.split(command)))}
    assert wrong == {}


def test_commands_are_found_at_all() -> None:
    found = [command for document in DOCUMENTS for command in commands(document)]
    assert len(found) > 40
    assert unknown_in(["report", "shwo"]) == ["shwo"]
    assert unknown_in(["sync", "--isbp", "1"]) == ["--isbp"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_to_a_section_that_there_is(document: Path) -> None:
    for link in _LINK.findall(document.read_text("utf-8")):
        if link.startswith(("http:", "https:")):
            continue
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        assert target.exists(), link
        assert not anchor or anchor in sections(target), link


def test_the_metrics_of_the_document_are_those_that_are_served() -> None:
    told = set(re.findall(r"`(vsync_[a-z_]+)`", (ROOT / "docs" / "operations.md").read_text("utf-8")))
    parts = {f"vsync_duration_seconds_{part}" for part in ("bucket", "sum", "count")}
    assert told == served() - parts
