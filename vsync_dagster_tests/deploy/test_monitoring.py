"""What `deploy/` has for Prometheus, Alertmanager and Grafana, judged by the programs themselves."""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, start_http_server

from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.metrics import (
    Budget,
    Clock,
    Durations,
    Figures,
    Heartbeat,
    Integrity,
    LastProof,
    LastSync,
    Outbox,
    ReviewQueue,
    StandingAlerts,
)
from vsync_dagster.metrics import VsyncCollector, certificate_family, families, limit_family
from vsync_dagster.reconcile.waiting import ClockLimits
from vsync_dagster.simulator.faults import FaultKind
from vsync_dagster.simulator.operations import Operation
from vsync_dagster_tests.monitoring import program, running_alertmanager, running_prometheus, standing_at
from vsync_dagster_tests.world import ISPB, World, running_world

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus" / "rules.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "vsync.json"
RUNBOOKS = ROOT / "docs" / "runbooks.md"
PATIENCE_S = 60.0

FIGURES = Figures(
    last_syncs=[LastSync(ISPB, "FAILED", 1.0, 1.0, 1, 1.0, 1, 1.0, 1, 1)],
    durations=[Durations(0, 1, 1.0)],
    clocks=[Clock(ISPB, "CPF", 1.0, 1.0, 1.0, 1.0, 1)],
    review_queues=[ReviewQueue(ISPB, 1, 1.0)],
    outbox=Outbox(1, 1.0),
    alerts=[StandingAlerts("warning", 1)],
    budgets=[Budget(ISPB, "P", 1, 1.0)],
    proofs=[LastProof(ISPB, proved=True)],
    integrity=[Integrity(ISPB, 1)],
    heartbeats=[Heartbeat("SENSOR", 1.0)],
)


def rules() -> list[dict[str, Any]]:
    [group] = yaml.safe_load(RULES.read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def named_in(expression: str) -> set[str]:
    return set(re.findall(r"\bvsync_[a-z_]+", expression))


def served() -> set[str]:
    metrics = [*families(FIGURES), limit_family(ClockLimits()), certificate_family([], now=None)]  # type: ignore[arg-type]
    histogram = {"vsync_duration_seconds_bucket", "vsync_duration_seconds_sum", "vsync_duration_seconds_count"}
    return {metric.name for metric in metrics} | histogram | {"vsync_up"}


def test_the_rules_do_what_their_unit_tests_say() -> None:
    tested = subprocess.run(
        [program("promtool"), "test", "rules", "rules_test.yml"], cwd=RULES.parent, capture_output=True, text=True
    )
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_every_rule_has_a_unit_test() -> None:
    tests = yaml.safe_load((RULES.parent / "rules_test.yml").read_text())["tests"]
    fired = {
        (case["alertname"], alert["exp_labels"]["severity"])
        for test in tests
        for case in test["alert_rule_test"]
        for alert in case["exp_alerts"]
    }
    assert fired == {(rule["alert"], rule["labels"]["severity"]) for rule in rules()}


def test_the_examples_are_what_the_programs_accept() -> None:
    for command in (
        [program("promtool"), "check", "config", "--syntax-only", "deploy/prometheus/prometheus.yml"],
        [program("amtool"), "check-config", "deploy/alertmanager/alertmanager.yml"],
    ):
        checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert checked.returncode == 0, checked.stdout + checked.stderr


def test_rules_and_dashboard_ask_for_metrics_that_are_served() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert len(asked) > 10
    for expression in [*asked, *(rule["expr"] for rule in rules())]:
        assert named_in(expression)
        assert named_in(expression) <= served(), expression


def runbooks() -> set[str]:
    return set(re.findall(r"^## (\w+)$", RUNBOOKS.read_text(), re.MULTILINE))


def test_every_rule_links_to_its_runbook() -> None:
    for rule in rules():
        assert "runbook_url" not in rule["annotations"], "a path is no URL"
        assert rule["annotations"]["runbook"] == f"docs/runbooks.md#{rule['alert'].lower()}"
        assert rule["alert"] in runbooks()


def test_every_alert_that_the_program_raises_has_a_runbook() -> None:
    assert raised_by_the_program()
    assert raised_by_the_program() <= runbooks()


def raised_by_the_program() -> set[str]:
    sources = [path.read_text() for path in (ROOT / "vsync_dagster").rglob("*.py")]
    return {name for source in sources for name in re.findall(r'"(VSync[A-Z]\w+)"', source)}


def test_every_runbook_is_of_an_alert_that_there_is() -> None:
    assert runbooks() == raised_by_the_program() | {rule["alert"] for rule in rules()}


def test_the_runbooks_say_which_alerts_come_in_one_way_only() -> None:
    ours, prometheus_only = raised_by_the_program(), {rule["alert"] for rule in rules()}
    page = RUNBOOKS.read_text()
    for who, names in {"Only Prometheus has": prometheus_only - ours, "messages have": ours - prometheus_only}.items():
        [sentence] = re.findall(rf"{who} ([^.]+)\.", page)
        assert set(re.findall(r"VSync\w+", sentence)) == names, f"docs/runbooks.md, {who}"


@pytest.fixture
def world(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with running_world(database, tmp_path, monkeypatch) as running:
        yield running


def test_a_failed_sync_becomes_an_alert_and_a_good_one_ends_it(world: World, tmp_path: Path) -> None:
    """From a DICT that refuses to Alertmanager: our metrics, Debian's Prometheus, the shipped rules."""
    program("prometheus")
    world.populate(5)
    world.directory.faults.add(Operation.CREATE_SYNC_VERIFICATION, FaultKind.STATUS, times=99, status=403)
    assert world.sync().status == "FAILED"
    world.directory.faults.clear()
    (tmp_path / "rules.yml").write_text(without_waiting(RULES.read_text()))
    registry = CollectorRegistry()
    registry.register(VsyncCollector(world.variables))
    server, thread = start_http_server(0, "127.0.0.1", registry)
    try:
        with (
            running_alertmanager(tmp_path) as alertmanager,
            running_prometheus(tmp_path, prometheus(server.server_port, alertmanager)),
        ):
            alerts = {each["labels"]["alertname"]: each for each in wait_for(alertmanager, standing=2)}
            assert alerts.keys() == {"VSyncFailed", "VSyncNotProved"}
            alert = alerts["VSyncFailed"]
            assert (alert["labels"]["ispb"], alert["labels"]["severity"]) == (ISPB, "critical")
            assert alert["annotations"]["runbook"] == "docs/runbooks.md#vsyncfailed"

            world.settle()
            assert world.sync().status == "COMPLETED"
            assert wait_for(alertmanager, standing=0) == []
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def without_waiting(text: str) -> str:
    """Return the rules without their patience, but for that which says that no metrics were read: none are at first."""
    return re.sub(r"(?<!vsync_up == 1\)\n        )for: \d+m", "for: 0s", text)


def prometheus(metrics_port: int, alertmanager_url: str) -> str:
    """Return the shipped configuration, but for addresses and haste."""
    configuration = yaml.safe_load((RULES.parent / "prometheus.yml").read_text())
    configuration["global"] = {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
    [scraped], [told] = configuration["scrape_configs"], configuration["alerting"]["alertmanagers"]
    scraped["static_configs"][0]["targets"] = [f"127.0.0.1:{metrics_port}"]
    told["static_configs"][0]["targets"] = [alertmanager_url.removeprefix("http://")]
    return str(yaml.safe_dump(configuration))


def wait_for(alertmanager: str, *, standing: int) -> list[dict[str, Any]]:
    deadline = time.monotonic() + PATIENCE_S
    while len(alerts := standing_at(alertmanager)) != standing and time.monotonic() < deadline:
        time.sleep(0.2)
    assert len(alerts) == standing, alerts
    return alerts
