"""The documents name commands, files and sections that there are; each error has its heading in docs/messages.md."""

import ast
import importlib
import pkgutil
import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import pytest

import vsync_dagster
from vsync_dagster.cli.app import cli
from vsync_dagster.environment import Environment
from vsync_dagster.local_db import roles
from vsync_dagster.reconcile.errors import PermanentError, RefusedError, TransientError, VsyncError
from vsync_dagster.reconcile.status import Proof
from vsync_dagster_tests.deploy.test_monitoring import runbooks, served
from vsync_dagster_tests.world import ISPB, certificates

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


# Names that look like a metric's: roles, the packages, what the pages call logins and indexes, the simulator's schema.
_NO_METRICS = {
    *roles.ALL,
    "vsync_dagster",
    "vsync_dagster_tests",
    "vsync_owner",
    "vsync_keys_",
    "vsync_since_",
    "vsync_homologation",
    "vsync_simulator",
}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_metric_of_a_document_is_served(document: Path) -> None:
    named = set(re.findall(r"\bvsync_[a-z_]+", document.read_text("utf-8")))
    assert named - _NO_METRICS <= served(), "a metric that is not served, or a name to add to _NO_METRICS"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_alert_of_a_document_is_one_that_there_is(document: Path) -> None:
    named = set(re.findall(r"\bVSync[A-Z]\w+", document.read_text("utf-8")))
    assert named <= runbooks(), "an alert without a section in docs/runbooks.md"


_VARIABLE = re.compile(r"\bVSYNC_[A-Z]+(?:_[A-Z]+)*\b(?!_)")


def variables_of_documents() -> dict[str, set[str]]:
    return {path.name: set(_VARIABLE.findall(path.read_text("utf-8"))) for path in DOCUMENTS}


def variables_of_deploy() -> set[str]:
    """Return what the files of deploy/ read themselves: `${NAME}`, and PostgreSQL's start script."""
    texts = [path.read_text("utf-8") for path in (ROOT / "deploy").rglob("*") if path.is_file()]
    return {name for text in texts for name in re.findall(r"\$\{?(VSYNC_[A-Z_]+)", text)}


class Recorded(dict[str, str]):
    """Variables that remember by which names they were asked for."""

    def __init__(self, given: Mapping[str, str]) -> None:
        super().__init__(given)
        self.asked: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.asked.add(key)
        return super().get(key, default)

    def __getitem__(self, key: str) -> str:
        self.asked.add(key)
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self.asked.add(str(key))
        return super().__contains__(key)


def variables_that_are_read() -> set[str]:
    """Return what `Environment` asks for, and what the rest of the sources names in full."""
    given = Recorded({**certificates().variables(ISPB), "VSYNC_DICT_URL": "https://127.0.0.1/api/v2/"})
    environment = Environment(given)
    for name in [name for name, value in vars(Environment).items() if isinstance(value, property)]:
        with suppress(VsyncError):
            getattr(environment, name)
    written = {
        node.value
        for _, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _VARIABLE.fullmatch(node.value)
    }
    named = {name for name in given.asked | written if name.startswith("VSYNC_")} - {proof.value for proof in Proof}
    # What is written and never asked for is the beginning of other names.
    return {name for name in named if name in given.asked or not any(o.startswith(f"{name}_") for o in named)}


def test_every_variable_of_a_document_is_read() -> None:
    known = variables_that_are_read() | variables_of_deploy() | {proof.value for proof in Proof}
    # A certificate's names come from one prefix; a gateway's are read only where there is one.
    known |= {f"VSYNC_DICT_GATEWAY_CLIENT_{part}" for part in ("CERT_FILE", "KEY_FILE", "KEY_PASSWORD")}
    unread = {page: named - known for page, named in variables_of_documents().items() if named - known}
    assert unread == {}, "a document names a variable that nothing reads"


def test_every_variable_that_is_read_is_in_a_document_and_in_the_help() -> None:
    documented = {name for named in variables_of_documents().values() for name in named}
    listed = set(_VARIABLE.findall(cli.help or ""))
    assert variables_that_are_read() - documented == set(), "name them in docs/"
    assert variables_that_are_read() - listed == set(), "list them in `vsync --help` (vsync_dagster/cli/app.py)"


def test_the_metrics_of_the_document_are_those_that_are_served() -> None:
    told = set(re.findall(r"`(vsync_[a-z_]+)`", (ROOT / "docs" / "operations.md").read_text("utf-8")))
    parts = {f"vsync_duration_seconds_{part}" for part in ("bucket", "sum", "count")}
    assert told == served() - parts


MESSAGES = ROOT / "docs" / "messages.md"
GENERAL = (VsyncError, TransientError, PermanentError, RefusedError)
# Headings of what ends a command or a sync without an error of ours.
NO_ERRORS = {"bad-usage", "clock", "partial", "vsync-nok"}


def sources() -> Iterator[tuple[str, ast.AST]]:
    for path in sorted((ROOT / "vsync_dagster").rglob("*.py")):
        yield str(path.relative_to(ROOT)), ast.parse(path.read_text("utf-8"))


def error_classes(kind: type[VsyncError] = VsyncError) -> Iterator[type[VsyncError]]:
    """Yield the subclasses of all modules; the modules are imported for it."""
    if kind is VsyncError:
        for module in pkgutil.walk_packages(vsync_dagster.__path__, "vsync_dagster."):
            importlib.import_module(module.name)
    for each in kind.__subclasses__():
        yield each
        yield from error_classes(each)


def calls_of_general_classes() -> Iterator[tuple[str, str | None]]:
    """Yield where one of the four general classes is raised, and by which code."""
    names = {kind.__name__ for kind in GENERAL}
    for path, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
                [*codes] = [word.value for word in node.keywords if word.arg == "code"]
                code = codes[0].value if codes and isinstance(codes[0], ast.Constant) else None
                yield f"{path}:{node.lineno}", str(code) if code else None


def message_sections() -> dict[str, str]:
    """Return what docs/messages.md says below each heading."""
    _, *parts = re.split(r"^## (.+)$", MESSAGES.read_text("utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_every_error_class_has_a_heading_that_says_what_to_do() -> None:
    missing = {
        f"{kind.__module__}.{kind.__name__}: add `## {kind.code}` to docs/messages.md (Cause, Look at, Do), or set"
        f" `code` of the class to a heading that fits"
        for kind in error_classes()
        if kind not in GENERAL and kind.__module__.startswith("vsync_dagster.") and kind.code not in message_sections()
    }
    assert missing == set()


def test_what_is_raised_as_a_general_class_names_its_heading() -> None:
    missing = {
        f'{where}: add code="…", one of the headings of docs/messages.md'
        for where, code in calls_of_general_classes()
        if code is None
    } | {
        f"{where}: add `## {code}` to docs/messages.md (Cause, Look at, Do)"
        for where, code in calls_of_general_classes()
        if code is not None and code not in message_sections()
    }
    assert missing == set()


def test_every_heading_is_of_an_error_that_there_is() -> None:
    known = {kind.code for kind in error_classes()} | {code for _, code in calls_of_general_classes() if code}
    assert set(message_sections()) <= known | NO_ERRORS | {VsyncError.code}


def test_every_heading_says_the_cause_where_to_look_and_a_command() -> None:
    for code, text in message_sections().items():
        parts = re.findall(r"\*\*(Cause|Look at|Do)\.\*\*", text)
        assert parts == ["Cause", "Look at", "Do"], code
        assert re.search(r"`[^`]+`", text), f"{code}: name a command"


def test_every_message_that_is_quoted_is_one_that_can_be_printed() -> None:
    """An ellipsis stands for what differs from time to time."""
    texts = [re.sub("`", "", text) for _, tree in sources() for text in literals(tree)]
    wrong = [
        f"docs/messages.md, {code}: no source has this text: {quoted}"
        for code, section in message_sections().items()
        for quoted in re.findall(r"^\* `([^`]+)`", section, re.MULTILINE)
        if not any(re.search(".*".join(map(re.escape, quoted.split("…"))), text) for text in texts)
    ]
    assert wrong == []


def literals(tree: ast.AST) -> Iterator[str]:
    """Yield each text of a source, with an ellipsis in place of what is put into it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
