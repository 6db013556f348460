"""How a report looks: red where it failed, whole lines where it is piped."""

import sys
from dataclasses import replace

import pytest

from vsync_dagster.cli.output import print_report
from vsync_dagster_tests.local_db.test_reports import REPORT

LONG = f"{'DICT does not answer, ' * 20}try [again] later (see docs/messages.md#dict-unavailable)"


def test_piped_text_is_not_wrapped(capsys: pytest.CaptureFixture[str]) -> None:
    print_report(replace(REPORT, status="FAILED", error_message=LONG, key_types={}))
    printed = capsys.readouterr().out
    assert LONG in printed.splitlines(), "one line, and nothing of it taken for markup"
    assert "\x1b" not in printed


def test_a_partial_report_leads_to_its_heading_and_a_completed_one_to_none(capsys: pytest.CaptureFixture[str]) -> None:
    print_report(replace(REPORT, status="PARTIAL", error_message="not proved: CPF", key_types={}))
    assert "see docs/messages.md#partial" in capsys.readouterr().out.splitlines()
    print_report(replace(REPORT, status="COMPLETED", key_types={}))
    assert "messages.md" not in capsys.readouterr().out


def test_failed_is_red_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    print_report(replace(REPORT, status="FAILED", error_message="DICT does not answer", key_types={}))
    failed = capsys.readouterr().out
    assert "\x1b[1;31mFAILED\x1b[0m" in failed
    assert "\x1b[31mDICT does not answer\x1b[0m" in failed
    print_report(replace(REPORT, status="COMPLETED", key_types={}))
    assert "31m" not in capsys.readouterr().out
