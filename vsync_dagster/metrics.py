"""The metrics of `vsync metrics`: read from the reports at each scrape, so that they outlive the runs they tell of."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import accumulate

from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from vsync_dagster.dict_api.certificates import ConfiguredCertificate
from vsync_dagster.environment import Environment
from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.metrics import Clock, Durations, Figures, LastSync, read_figures
from vsync_dagster.reconcile.errors import VsyncError
from vsync_dagster.reconcile.status import Status
from vsync_dagster.reconcile.waiting import ClockLimits

DURATION_BOUNDS = (5.0, 15.0, 60.0, 300.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0, 43_200.0)
_log = logging.getLogger(__name__)


class VsyncCollector(Collector):
    """Reads everything anew at each scrape. Where that fails, `vsync_up` is 0 and no other figure is told."""

    def __init__(self, variables: Environment, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._variables = variables
        self._now = now

    def describe(self) -> Iterable[Metric]:
        """Tell nothing: a collector that is asked would be scraped when it is registered."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Return the metrics of this moment."""
        try:
            figures = read_figures(Database(self._variables.database_url), DURATION_BOUNDS)
        except VsyncError as error:
            _log.warning("no metrics: %s", error)
            yield _up(0)
        else:
            yield _up(1)
            yield from families(figures)
            yield limit_family(self._variables.clock_limits)
        try:
            certificates = self._variables.dict_settings.certificates
        except VsyncError as error:
            _log.info("no metrics of certificates: %s", error)
        else:
            yield certificate_family(certificates, self._now())


def families(figures: Figures) -> Iterator[Metric]:
    """Return what the figures say as Prometheus has it."""
    yield duration_family(figures.durations)
    yield from _sync_families(figures.last_syncs)
    yield from _clock_families(figures.clocks)
    yield _gauge(
        "vsync_review_queue_depth",
        "Keys that wait for a person's decision",
        ["ispb"],
        (([queue.ispb], queue.waiting) for queue in figures.review_queues),
    )
    yield _gauge(
        "vsync_review_queue_oldest_seconds",
        "How long the oldest of them has waited",
        ["ispb"],
        (([queue.ispb], queue.oldest_seconds) for queue in figures.review_queues),
    )
    yield _gauge(
        "vsync_proved",
        "1 where the last sync proved that both sides hold the same keys, else 0",
        ["ispb"],
        (([each.ispb], float(each.proved)) for each in figures.proofs),
    )
    yield _gauge(
        "vsync_tampered_rows",
        "Rows that were changed beneath their CID, by the last FULL sync",
        ["ispb"],
        (([each.ispb], each.tampered) for each in figures.integrity),
    )
    yield _gauge(
        "vsync_daemon_heartbeat_age_seconds",
        "Since a daemon of Dagster's last said that it lives; absent where Dagster's tables cannot be read",
        ["daemon"],
        (([beat.daemon.lower()], beat.seconds) for beat in figures.heartbeats),
    )
    yield _gauge("vsync_outbox_depth", "Events that wait to be published", [], [([], figures.outbox.waiting)])
    yield _gauge(
        "vsync_outbox_oldest_seconds",
        "How long the oldest of them has waited",
        [],
        [([], figures.outbox.oldest_seconds)],
    )
    yield _gauge(
        "vsync_alerts_standing",
        "Alerts that stand",
        ["severity"],
        (([alerts.severity], alerts.standing) for alerts in figures.alerts),
    )
    yield _gauge(
        "vsync_dict_budget_tokens",
        "Calls that are left of a policy of DICT's",
        ["ispb", "policy"],
        (([budget.ispb, budget.policy], budget.tokens) for budget in figures.budgets),
    )
    yield _gauge(
        "vsync_dict_budget_capacity",
        "The most calls that the policy ever grants at once",
        ["ispb", "policy"],
        (([budget.ispb, budget.policy], budget.capacity) for budget in figures.budgets),
    )


def duration_family(durations: Sequence[Durations]) -> Metric:
    """Return the histogram of all syncs that there are reports of."""
    counts = {each.bucket: each.syncs for each in durations}
    cumulated = list(accumulate(counts.get(bucket, 0) for bucket in range(len(DURATION_BOUNDS) + 1)))
    family = HistogramMetricFamily("vsync_duration_seconds", "How long syncs took")
    family.add_metric(
        [],
        [(str(bound), count) for bound, count in zip((*DURATION_BOUNDS, "+Inf"), cumulated, strict=True)],
        sum(each.seconds for each in durations),
    )
    return family


def limit_family(limits: ClockLimits) -> Metric:
    """Return when the clocks ring, for rules to compare with: `vsync_since_<clock>_seconds` is each one's figure."""
    values = [
        (["answered", "warning"], limits.answered_warning.total_seconds()),
        (["answered", "critical"], limits.answered_critical.total_seconds()),
        (["ok", "warning"], limits.ok.total_seconds()),
        (["ok_without_review", "critical"], limits.ok.total_seconds()),
        (["read_whole", "warning"], limits.read_whole.total_seconds()),
    ]
    return _gauge("vsync_clock_limit_seconds", "When a clock rings", ["clock", "severity"], values)


def certificate_family(certificates: Sequence[ConfiguredCertificate], now: datetime) -> Metric:
    """Return how long the configured certificates still last."""
    return _gauge(
        "vsync_certificate_days_left",
        "Days until a configured certificate ends; negative after its end",
        ["variable", "serial_number"],
        (([one.variable, f"{one.serial_number:x}"], one.days_left(now)) for one in certificates),
    )


def _sync_families(syncs: Sequence[LastSync]) -> Iterator[Metric]:
    yield _gauge(
        "vsync_status",
        "1 for the status in which the last sync ended, 0 for the others",
        ["ispb", "status"],
        (([sync.ispb, status.lower()], float(sync.status == status)) for sync in syncs for status in Status),
    )
    for name, help_text, value in _SYNC_GAUGES:
        yield _gauge(name, help_text, ["ispb"], [([sync.ispb], value(sync)) for sync in syncs])


def _clock_families(clocks: Sequence[Clock]) -> Iterator[Metric]:
    for name, help_text, value in _CLOCK_GAUGES:
        yield _gauge(name, help_text, ["ispb", "key_type"], [([one.ispb, one.key_type], value(one)) for one in clocks])


_SYNC_GAUGES: tuple[tuple[str, str, Callable[[LastSync], float | None]], ...] = (
    ("vsync_last_sync_timestamp_seconds", "When the last sync started", lambda sync: sync.started_at),
    ("vsync_last_duration_seconds", "How long the last sync took", lambda sync: sync.duration_seconds),
    (
        "vsync_discrepancies_total",
        "Discrepancies that the last sync found; absent where it did not come so far",
        lambda sync: sync.discrepancies,
    ),
    (
        "vsync_error_rate",
        "Share of the last sync's fixes that failed, from 0 to 1; absent where it did not come so far",
        lambda sync: sync.error_rate,
    ),
    (
        "vsync_known_discrepancies",
        "Discrepancies that the last sync found which came so far",
        lambda sync: sync.known_discrepancies,
    ),
    (
        "vsync_known_error_rate",
        "Share of the fixes that failed, of the last sync which came so far",
        lambda sync: sync.known_error_rate,
    ),
    ("vsync_failed_count", "Syncs that have FAILED since the last that did not", lambda sync: sync.failed),
    (
        "vsync_missing_bacen_count",
        "Keys that are here and not at DICT: those under review, and those found by the last comparison besides",
        lambda sync: sync.missing_bacen,
    ),
)
_CLOCK_GAUGES: tuple[tuple[str, str, Callable[[Clock], float]], ...] = (
    (
        "vsync_since_answered_seconds",
        "Since DICT last answered a verification, whatever the answer; at first since the registration",
        lambda clock: clock.since_answered,
    ),
    (
        "vsync_since_ok_seconds",
        "Since DICT last answered OK to the true VSync; at first since the registration",
        lambda clock: clock.since_ok,
    ),
    (
        "vsync_since_ok_without_review_seconds",
        "Since DICT last answered OK, keys under review left out or not; at first since the registration",
        lambda clock: clock.since_ok_without_review,
    ),
    (
        "vsync_since_read_whole_seconds",
        "Since the table was last read whole and DICT said OK to what it held; at first since the registration",
        lambda clock: clock.since_read_whole,
    ),
    (
        "vsync_ok_left_out_keys",
        "Keys under review that were left out of the last OK; 0 for the true VSync",
        lambda clock: clock.left_out,
    ),
)


def _up(value: int) -> Metric:
    return _gauge(
        "vsync_up", "1 where the database could be read, else 0, and nothing else is known", [], [([], value)]
    )


def _gauge(
    name: str, help_text: str, labels: Sequence[str], values: Iterable[tuple[Sequence[str], float | None]]
) -> Metric:
    """Return a gauge; a value that is not known is no sample."""
    family = GaugeMetricFamily(name, help_text, labels=labels)
    for label_values, value in values:
        if value is not None:
            family.add_metric(label_values, value)
    return family
