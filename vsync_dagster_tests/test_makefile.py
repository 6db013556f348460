"""The Makefile and .ci/run, with a stand-in for Python and for make that writes down what it was asked."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Fails where it is told to, and makes a "virtual environment" whose Python is itself.
FAKE_PYTHON = """#!/bin/sh
echo "$*" >> "$CALLS"
case "$*" in
    *"$FAILS_ON"*) exit 1 ;;
    "-m venv .venv") mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
esac
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A fresh clone, as far as the Makefile is concerned."""
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
    _program(tmp_path / "python", FAKE_PYTHON)
    (tmp_path / "calls").touch()
    return tmp_path


def _program(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


def make(clone: Path, *targets: str, fails_on: str = "nothing") -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "CALLS": str(clone / "calls"), "FAILS_ON": fails_on}
    command = ["make", f"PYTHON={clone / 'python'}", *targets]
    return subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, check=False)


def calls(clone: Path) -> list[str]:
    lines = (clone / "calls").read_text("utf-8").splitlines()
    (clone / "calls").write_text("", "utf-8")
    return lines


def test_help_lists_every_target(clone: Path) -> None:
    text = (ROOT / "Makefile").read_text("utf-8")
    (phony,) = [line.removeprefix(".PHONY: ") for line in text.splitlines() if line.startswith(".PHONY")]
    listed = [line.split()[0] for line in make(clone).stdout.splitlines()]
    assert sorted(listed) == sorted(phony.split())


def test_the_environment_is_made_once_and_again_when_a_pin_changes(clone: Path) -> None:
    assert make(clone, "install").returncode == 0
    first = calls(clone)
    assert "-m venv .venv" in first
    installs = [
        "-m pip --quiet --disable-pip-version-check install --no-deps -r requirements.lock",
        "-m pip --quiet --disable-pip-version-check install --no-deps -e .",
    ]
    assert first[-2:] == installs
    assert make(clone, "install").returncode == 0
    assert calls(clone) == []
    later = (clone / ".venv/.installed").stat().st_mtime + 2
    os.utime(clone / "requirements.lock", (later, later))
    assert make(clone, "install").returncode == 0
    assert calls(clone) == installs


def test_a_failed_install_is_tried_again(clone: Path) -> None:
    assert make(clone, "install", fails_on="--no-deps -e .").returncode != 0
    calls(clone)
    assert make(clone, "install").returncode == 0
    assert calls(clone) != []


@pytest.mark.parametrize(
    ("fails_on", "says"),
    [
        ("version_info", "VSYNC needs Python 3.11 or newer: name one, such as make PYTHON=python3.12 install"),
        ("ensurepip", "cannot make virtual environments: install python3-venv (Debian, Ubuntu)"),
    ],
)
def test_a_python_that_does_not_do_is_one_clear_line(fails_on: str, says: str, clone: Path) -> None:
    result = make(clone, "install", fails_on=fails_on)
    assert result.returncode != 0
    assert says in result.stderr.splitlines()[0]
    assert not (clone / ".venv").exists()


def test_continuous_integration_runs_make_test(clone: Path) -> None:
    _program(clone / "make", '#!/bin/sh\necho "make $*" >> "$CALLS"\n')
    for installed in ("java", "promtool", "amtool"):
        _program(clone / installed, "#!/bin/sh\n")
    environment = {
        "PATH": f"{clone}:{os.environ['PATH']}",
        "PYTHON": str(clone / "python"),
        "CALLS": str(clone / "calls"),
        "FAILS_ON": "nothing",
    }
    subprocess.run([clone / ".ci/run"], cwd="/", env=environment, check=True)
    assert calls(clone)[-1] == "make test"


def test_continuous_integration_names_what_is_missing(clone: Path) -> None:
    _program(clone / "id", "#!/bin/sh\necho 1000\n")
    for installed in ("java", "promtool", "amtool"):
        _program(clone / installed, "#!/bin/sh\n")
    environment = {
        "PATH": f"{clone}:{os.environ['PATH']}",
        "PYTHON": str(clone / "python"),
        "CALLS": str(clone / "calls"),
        "FAILS_ON": "ensurepip",
    }
    result = subprocess.run([clone / ".ci/run"], cwd="/", env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr == "install these packages first: python3-venv\n"
