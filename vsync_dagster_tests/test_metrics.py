"""The metrics as Prometheus gets them: over HTTP, from a real database, or from none."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
import pytest
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.parser import text_string_to_metric_families

from vsync_dagster.dict_api.budget import DOCUMENTED
from vsync_dagster.environment import Environment
from vsync_dagster.local_db import alerts, metrics, outbox, participants, reports, review, roles, sync_state
from vsync_dagster.local_db.budgets import SharedBudget
from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.reports import Report
from vsync_dagster.local_db.review import ReviewItem
from vsync_dagster.metrics import DURATION_BOUNDS, VsyncCollector
from vsync_dagster_tests.local_db.parts import ISPB, OTHER_ISPB, insert, make_entry
from vsync_dagster_tests.local_db.test_alerts import ALERT
from vsync_dagster_tests.local_db.test_reports import REPORT
from vsync_dagster_tests.logins import login_with
from vsync_dagster_tests.world import certificates

Samples = dict[str, float]


@contextmanager
def serving(database_url: str, **variables: str) -> Iterator[str]:
    registry = CollectorRegistry()
    registry.register(VsyncCollector(Environment({"VSYNC_DATABASE_URL": database_url, **variables})))
    server, thread = start_http_server(0, "127.0.0.1", registry)
    try:
        yield f"http://127.0.0.1:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def scrape(url: str) -> Samples:
    """Return every sample by its name and labels, as PromQL writes them."""
    families = text_string_to_metric_families(httpx.get(url, timeout=30).raise_for_status().text)
    return {_series(sample.name, sample.labels): sample.value for family in families for sample in family.samples}


def _series(name: str, labels: dict[str, str]) -> str:
    told = ",".join(f'{label}="{value}"' for label, value in labels.items())
    return f"{name}{{{told}}}" if told else name


def report(number: int, **changes: object) -> Report:
    """Return one of a series of reports, an hour apart, that are no dry runs."""
    at = REPORT.sync_timestamp + timedelta(hours=number)
    made = replace(
        REPORT, id=UUID(int=number), run_id=f"run-{number}", sync_timestamp=at, dry_run=False, duration_ms=20_000
    )
    return replace(made, **changes)  # type: ignore[arg-type]


@pytest.fixture
def registered(database: Database) -> Database:
    with database.connect() as conn:
        participants.add(conn, ISPB)
        participants.add(conn, OTHER_ISPB)
    return database


def write(database: Database, *written: Report) -> None:
    with database.connect() as conn:
        for each in written:
            assert reports.insert(conn, each)


def test_the_last_sync_of_each_participant(registered: Database) -> None:
    write(
        registered,
        report(1, status="COMPLETED", discrepancies=500),
        report(2, status="PARTIAL", discrepancies=7, fixes_failed=1, missing_bacen=6, duration_ms=61_500),
        report(3, dry_run=True, discrepancies=999),
        report(4, participant_ispb=OTHER_ISPB, status="FAILED"),
        report(5, participant_ispb=OTHER_ISPB, status="FAILED"),
    )
    with serving(registered.url) as url:
        told = scrape(url)

    assert told["vsync_up"] == 1
    for status, value in (("completed", 0), ("partial", 1), ("failed", 0)):
        assert told[f'vsync_status{{ispb="{ISPB}",status="{status}"}}'] == value
    assert told[f'vsync_status{{ispb="{OTHER_ISPB}",status="failed"}}'] == 1
    assert told[f'vsync_discrepancies_total{{ispb="{ISPB}"}}'] == 7
    assert told[f'vsync_missing_bacen_count{{ispb="{ISPB}"}}'] == 2, "4 of 6 were put up for review, and are closed"
    assert told[f'vsync_error_rate{{ispb="{ISPB}"}}'] == pytest.approx(1 / 10)  # 2 created, 3 updated, 4 put up
    assert told[f'vsync_last_duration_seconds{{ispb="{ISPB}"}}'] == 61.5
    assert told[f'vsync_failed_count{{ispb="{ISPB}"}}'] == 0
    assert told[f'vsync_failed_count{{ispb="{OTHER_ISPB}"}}'] == 2


def test_a_figure_that_the_last_sync_does_not_know_has_no_sample(registered: Database) -> None:
    unknown = dict.fromkeys(("discrepancies", "missing_local", "outdated_local", "missing_bacen", "in_flight"))
    write(
        registered,
        report(1, status="PARTIAL", discrepancies=150, fixes_failed=1, missing_bacen=15, entries_deleted=4),
        report(2, status="FAILED", entries_created=0, entries_updated=0, entries_deleted=0, fixes_failed=0, **unknown),
        report(3, participant_ispb=OTHER_ISPB, status="FAILED", fixes_failed=0, **unknown),
    )
    with serving(registered.url) as url:
        told = scrape(url)

    assert told[f'vsync_status{{ispb="{ISPB}",status="failed"}}'] == 1
    assert not [name for name in told if name.startswith(("vsync_discrepancies_total", "vsync_error_rate"))]
    assert told[f'vsync_known_discrepancies{{ispb="{ISPB}"}}'] == 150
    assert told[f'vsync_known_error_rate{{ispb="{ISPB}"}}'] == pytest.approx(1 / 10)
    assert told[f'vsync_missing_bacen_count{{ispb="{ISPB}"}}'] == 11, "what could not be put up for review stands"
    of_other = [name for name in told if OTHER_ISPB in name and name.startswith(("vsync_known", "vsync_missing"))]
    assert not of_other, "it was never compared"


def test_a_run_that_repeats_a_part_of_a_sync_is_the_last_sync_only_if_it_proved_the_result(
    registered: Database,
) -> None:
    write(
        registered,
        report(1, status="FAILED", compared_by="run-1", discrepancies=150, missing_bacen=6, entries_deleted=0),
        report(2, status="PARTIAL", compared_by="run-1", repaired_by="run-1", discrepancies=150, fixes_failed=0),
    )
    with serving(registered.url) as url:
        told = scrape(url)
    assert told[f'vsync_status{{ispb="{ISPB}",status="failed"}}'] == 1
    assert told[f'vsync_failed_count{{ispb="{ISPB}"}}'] == 1
    assert told[f'vsync_missing_bacen_count{{ispb="{ISPB}"}}'] == 2, "the second run has put 4 of the 6 up for review"

    write(registered, report(3, status="COMPLETED", verified=True, compared_by="run-1", repaired_by="run-1"))
    with serving(registered.url) as url:
        told = scrape(url)
    assert told[f'vsync_status{{ispb="{ISPB}",status="completed"}}'] == 1
    assert told[f'vsync_failed_count{{ispb="{ISPB}"}}'] == 0
    assert f'vsync_discrepancies_total{{ispb="{ISPB}"}}' not in told, "it did not compare"
    assert told[f'vsync_known_discrepancies{{ispb="{ISPB}"}}'] == 150


def test_a_participant_without_a_sync_has_no_figures_of_one(registered: Database) -> None:
    with serving(registered.url) as url:
        told = scrape(url)

    assert not [name for name in told if name.startswith(("vsync_status", "vsync_discrepancies", "vsync_failed"))]


def test_durations_are_a_histogram_over_all_reports(registered: Database) -> None:
    seconds = (1, 5, 59.9, 3_600, 90_000)
    write(
        registered, *(report(n, duration_ms=int(s * 1000)) for n, s in enumerate(seconds, 1)), report(9, dry_run=True)
    )
    with serving(registered.url) as url:
        told = scrape(url)

    assert told["vsync_duration_seconds_count"] == 5
    assert told["vsync_duration_seconds_sum"] == pytest.approx(sum(seconds))
    buckets = {re.findall('"(.*)"', name)[0]: value for name, value in told.items() if "_bucket" in name}
    assert buckets["5.0"] == 2
    assert buckets["60.0"] == 3
    assert buckets["1800.0"] == 3
    assert buckets["3600.0"] == 4, "a bucket holds its own bound"
    assert buckets["+Inf"] == 5


def test_the_clocks_run_from_the_registration_until_dict_has_answered(registered: Database) -> None:
    ago = datetime.now(UTC) - timedelta(hours=30)
    with registered.connect() as conn:
        conn.execute("update participants set created_at = now() - interval '40 hours'")
        sync_state.record_answered(conn, ISPB, "CPF", ago)
        conn.execute(
            "update sync_state set verified_at = %s, true_ok_at = %s, read_whole_at = %s,"
            " excluded_cids = array[sha256('a'), sha256('b')]",
            [ago - timedelta(hours=hours) for hours in (2, 3, 4)],
        )
    with serving(registered.url) as url:
        told = scrape(url)

    hours = {name: value / 3600 for name, value in told.items() if name.startswith("vsync_since")}
    assert len(hours) == 4 * 2 * 5, "four clocks, two participants, five key types"
    cpf = f'{{ispb="{ISPB}",key_type="CPF"}}'
    assert hours[f"vsync_since_answered_seconds{cpf}"] == pytest.approx(30, abs=0.5)
    assert hours[f"vsync_since_ok_without_review_seconds{cpf}"] == pytest.approx(32, abs=0.5)
    assert hours[f"vsync_since_ok_seconds{cpf}"] == pytest.approx(33, abs=0.5)
    assert hours[f"vsync_since_read_whole_seconds{cpf}"] == pytest.approx(34, abs=0.5)
    assert told[f"vsync_ok_left_out_keys{cpf}"] == 2
    for clock in ("ok", "read_whole"):
        assert hours[f'vsync_since_{clock}_seconds{{ispb="{OTHER_ISPB}",key_type="EVP"}}'] == pytest.approx(40, abs=0.5)


def test_the_limits_of_the_clocks_are_served(registered: Database) -> None:
    with serving(registered.url, VSYNC_NOT_OK_HOURS="40", VSYNC_NOT_READ_WHOLE_HOURS="500") as url:
        told = scrape(url)

    assert {name: value / 3600 for name, value in told.items() if name.startswith("vsync_clock_limit")} == {
        f'vsync_clock_limit_seconds{{clock="{clock}",severity="{severity}"}}': hours
        for clock, severity, hours in (
            ("answered", "warning", 24),
            ("answered", "critical", 33),
            ("ok", "warning", 40),
            ("ok_without_review", "critical", 40),
            ("read_whole", "warning", 500),
        )
    }


def test_what_waits(registered: Database) -> None:
    with registered.connect() as conn:
        entry = make_entry(1)
        review.queue(conn, "run", ISPB, [ReviewItem(insert(conn, entry), "CPF", entry.cid(), "MISSING_BACEN", {})])
        conn.execute("update manual_review_queue set created_at = now() - interval '2 days'")
        outbox.add(conn, ISPB, "vsync.sync.completed", {})
        outbox.add(conn, ISPB, "vsync.sync.completed", {})
        conn.execute(
            "update outbox set created_at = now() - interval '3 hours' where id = (select min(id) from outbox)"
        )
        alerts.raise_alert(conn, ALERT)
    with serving(registered.url) as url:
        told = scrape(url)

    assert told[f'vsync_review_queue_depth{{ispb="{ISPB}"}}'] == 1
    assert told[f'vsync_review_queue_oldest_seconds{{ispb="{ISPB}"}}'] == pytest.approx(2 * 86_400, abs=1800)
    assert told["vsync_outbox_depth"] == 2
    assert told["vsync_outbox_oldest_seconds"] == pytest.approx(3 * 3600, abs=1800)
    assert (told['vsync_alerts_standing{severity="warning"}'], told['vsync_alerts_standing{severity="info"}']) == (1, 0)


def test_budgets_are_refilled_to_now(registered: Database) -> None:
    policy = next(iter(DOCUMENTED))
    SharedBudget(registered, ISPB, DOCUMENTED).drained(policy)
    with registered.connect() as conn:
        conn.execute("update dict_budgets set updated_at = now() - interval '1 year'")
    with serving(registered.url) as url:
        told = scrape(url)

    labels = f'{{ispb="{ISPB}",policy="{policy}"}}'
    assert told[f"vsync_dict_budget_tokens{labels}"] == told[f"vsync_dict_budget_capacity{labels}"] > 0


def test_certificates_tell_how_long_they_last(registered: Database) -> None:
    variables = {"VSYNC_DICT_URL": "https://dict.example/api/v2/", **certificates().variables(ISPB)}
    with serving(registered.url, **variables) as url:
        told = scrape(url)

    days = {name: value for name, value in told.items() if name.startswith("vsync_certificate_days_left")}
    assert {re.findall('variable="([A-Z_]+)"', name)[0] for name in days} >= {
        "VSYNC_DICT_CLIENT_CERT_FILE",
        "VSYNC_SIGNING_CERT_FILE",
    }
    assert all(value > 0 for value in days.values())


def test_without_a_database_it_says_so_and_nothing_else() -> None:
    with serving("postgresql://u:geheim@127.0.0.1:1/d") as url:
        assert scrape(url) == {"vsync_up": 0}


@pytest.mark.parametrize(
    ("query", "index"), [(metrics._LAST_SYNCS, "sync_reports_latest"), (metrics._DURATIONS, "sync_reports_durations")]
)
def test_the_reports_are_read_by_their_indexes(registered: Database, query: str, index: str) -> None:
    """However many there are; without the setting a table as small as here is read whole."""
    parameters = {metrics._LAST_SYNCS: 1_000, metrics._DURATIONS: list(DURATION_BOUNDS)}
    with registered.connect() as conn:
        conn.execute("set enable_seqscan = off; set enable_bitmapscan = off")
        plan = conn.execute(f"explain {query}".encode(), [parameters[query]]).fetchall()
    read = [line for (line,) in plan if " on sync_reports" in line]
    by_run = ("sync_reports_run_id_key", "sync_reports_of_comparison")
    assert any(index in line for line in read)
    assert all(any(name in line for name in (index, *by_run)) for line in read), read


def test_a_daemon_that_stopped_is_seen_by_its_heartbeat_and_with_the_least_rights(registered: Database) -> None:
    with serving(registered.url) as url:
        assert not [name for name in scrape(url) if "heartbeat" in name], "Dagster has no tables yet"
    with registered.connect() as conn:
        conn.execute("create table dagster.daemon_heartbeats (daemon_type text, daemon_id text, timestamp timestamp)")
        conn.execute(
            "insert into dagster.daemon_heartbeats"
            " values ('SENSOR', 'a', (now() at time zone 'UTC') - interval '1 hour')"
        )
    with login_with(registered, roles.MONITORING) as login, serving(login.url) as url:
        told = scrape(url)
    assert told["vsync_up"] == 1
    assert told['vsync_daemon_heartbeat_age_seconds{daemon="sensor"}'] == pytest.approx(3_600, abs=120)


def test_heartbeats_that_may_not_be_read_hide_no_other_figure(registered: Database) -> None:
    with login_with(registered, roles.MONITORING) as login:
        with registered.connect() as conn:
            conn.execute("create table dagster.daemon_heartbeats (daemon_type text, timestamp timestamp)")
        with serving(login.url) as url:
            told = scrape(url)
    assert told["vsync_up"] == 1
    assert not [name for name in told if "heartbeat" in name]
