"""How the command fails and explains itself, without anything to talk to."""

import re

import pytest

from vsync_dagster.cli.app import main
from vsync_dagster.cli.sync import who
from vsync_dagster_tests.cli.conftest import Command

COMMANDS = [
    [],
    ["demo"],
    ["dev"],
    ["migrate"],
    ["participants", "add"],
    ["participants", "list"],
    ["sync"],
    ["verify"],
    ["report", "list"],
    ["report", "show"],
    ["review", "list"],
    ["simulator", "serve"],
    ["simulator", "populate"],
    ["simulator", "drift"],
    ["simulator", "fault", "set"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help(vsync: Command, command: list[str]) -> None:
    ran = vsync(*command, "--help")

    assert ran.status == 0
    assert f"Usage: vsync {' '.join(command)}".strip() in ran.out


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["sync", "--ispb", "1234567"], "an ISPB is eight digits"),
        (["sync", "--sync-type", "PARTIAL"], "'FULL', 'INCREMENTAL'"),
        (["sync", "--day", "yesterday"], "a day looks like"),
        (["sync", "--since", "noon"], "a time looks like"),
        (["sync", "--sync-type", "FULL", "--since", "2026-11-24T02:00:00Z"], "--since goes with an INCREMENTAL sync"),
        (["sync", "--allow-mass-change", "--ispb", "12345678"], "needs a reason"),
        (["sync", "--allow-mass-change", "--reason", "restored"], "for one participant"),
        (["verify"], "--ispb"),
        (["nonsense"], "No such command"),
        (["report", "show", "1"], "is not a valid UUID"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_usage_is_64_and_says_what_to_do(vsync: Command, command: list[str], said: str) -> None:
    ran = vsync(*command)

    assert ran.status == 64
    assert said in ran.err
    assert ran.err.splitlines()[-1] == "See docs/messages.md#bad-usage"
    assert ran.out == ""


@pytest.mark.parametrize(
    ("command", "variables", "name"),
    [
        (["migrate"], {}, "VSYNC_DATABASE_URL"),
        (["migrate"], {"VSYNC_DATABASE_URL": "mysql://u:geheim@h/d"}, "VSYNC_DATABASE_URL"),
        (["sync", "--ispb", "12345678"], {"VSYNC_DATABASE_URL": "postgresql://h/d"}, "VSYNC_DICT_URL"),
        (
            ["sync", "--ispb", "12345678"],
            {"VSYNC_DATABASE_URL": "postgresql://h/d", "VSYNC_DICT_URL": "dict.example"},
            "VSYNC_DICT_URL",
        ),
        (
            ["sync", "--ispb", "12345678"],
            {
                "VSYNC_DATABASE_URL": "postgresql://h/d",
                "VSYNC_DICT_URL": "https://h/api/v2/",
                "VSYNC_PULSAR_URL": "http://geheim@h",
            },
            "VSYNC_PULSAR_URL",
        ),
    ],
)
def test_a_variable_that_is_missing_or_malformed_is_one_line_that_names_it(
    vsync: Command, command: list[str], variables: dict[str, str], name: str
) -> None:
    ran = vsync(*command, **variables)

    assert ran.status == 64
    assert re.fullmatch(rf"vsync: {name} [^\n]+\n", ran.err)
    assert "geheim" not in ran.err


def test_a_database_that_is_not_there_is_one_line(vsync: Command) -> None:
    ran = vsync("participants", "list", VSYNC_DATABASE_URL="postgresql://u:geheim@127.0.0.1:1/d")

    assert ran.status == 2
    assert len(ran.err.splitlines()) == 1
    assert "geheim" not in ran.err


def test_an_error_that_nobody_foresaw_is_one_line_without_its_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stumble(_: object) -> None:
        raise ValueError("maria@example.com is not a key")

    monkeypatch.setattr("vsync_dagster.cli.data.migrations.migrate", stumble)
    monkeypatch.setenv("VSYNC_DATABASE_URL", "postgresql://host/database")
    monkeypatch.setattr("sys.argv", ["vsync", "migrate"])
    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 2
    assert re.fullmatch(
        r"vsync: unexpected ValueError in stumble \(test_usage\.py, line \d+\); please report this, with "
        r"the lines that VSYNC_TRACEBACK=1 prints when it is run again \(see docs/messages\.md#unexpected\)\n",
        capsys.readouterr().err,
    )


def test_who_allows_a_mass_change_is_told_by_number_where_there_is_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 4_040_404)
    assert who() == "uid 4040404"
    monkeypatch.setenv("LOGNAME", "ana")
    assert who() == "ana"
