"""Every sentence has its Portuguese, with the same values in it."""

import re
from importlib.resources import files

from vsync_dagster.console import item, reporting
from vsync_dagster.console.language import LABELS, number, portuguese, translator
from vsync_dagster.console.waiting import Age, Order
from vsync_dagster.local_db.review import Outcome
from vsync_dagster.reconcile import suggestion
from vsync_dagster_tests.local_db.test_reports import REPORT

PACKAGE = files("vsync_dagster.console")


def sentences() -> set[str]:
    """What the pages can say: in the templates, in the code, and in what the core tells."""
    templates = "".join(path.read_text() for path in (PACKAGE / "templates").iterdir())
    code = "".join(path.read_text() for path in PACKAGE.iterdir() if path.name.endswith(".py"))
    core = files(suggestion.__package__ or "")
    facts = "".join((core / name).read_text() for name in ("suggestion.py", "remarks.py"))
    found = set(re.findall(r'\bt\("([^"]+)"', templates))
    for listed in re.findall(r'{% for name in \(("[^)]+")\) %}', templates):
        found |= set(re.findall(r'"([^"]+)"', listed))
    for title, values in reporting.plots(REPORT).items():
        found |= {title, *(values if title != "Keys" else ())}
    found |= set(re.findall(r'(?:PageError\(\d+, |told\.append\(|^_[A-Z_]+ = )"([^"]+\.)"', code, re.MULTILINE))
    found |= set(re.findall(r'Fact\(\s*"([^"]+)"', facts))
    return found | {
        *item.REFUSALS.values(),
        *LABELS.values(),
        *map(str, Age),
        *map(str, Order),
        *map(str, Outcome),
        *suggestion.ANSWERS.values(),
    }


def test_every_sentence_is_translated() -> None:
    assert len(sentences()) > 80
    assert sorted(sentences() - portuguese().keys()) == []


def test_the_values_are_the_same() -> None:
    for english, told in portuguese().items():
        assert set(re.findall(r"{\w+}", english)) == set(re.findall(r"{\w+}", told)), english


def test_what_has_no_translation_stays_as_it_is() -> None:
    assert translator("pt")("{not a value}") == "{not a value}"
    assert translator("pt")("by {person}", person="ana") == "por ana"
    assert translator("en")("by {person}", person="ana") == "by ana"


def test_numbers_are_written_as_in_the_language() -> None:
    assert [number(language, value) for language in ("en", "pt") for value in (4008, 49.7, 7)] == [
        "4,008", "49.7", "7", "4.008", "49,7", "7",
    ]  # fmt: skip
