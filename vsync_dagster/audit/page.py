"""Evidence as one HTML page: nothing is fetched, so that it opens anywhere and in ten years."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import sha256

import polars as pl
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from vsync_dagster.audit import plots
from vsync_dagster.audit.plots import Cell, Series
from vsync_dagster.local_db.audit import Period
from vsync_dagster.local_db.chains import Chain, Finding
from vsync_dagster.reconcile.calendar import TIMEZONE
from vsync_dagster.reconcile.keys import KeyType
from vsync_dagster.reconcile.status import Proof

# A page with a million rows opens nowhere; the files hold all of them.
ROWS = 5_000

PROOFS = {
    Proof.VSYNC: "DICT answered OK to the VSync of all our active keys",
    Proof.VSYNC_WITHOUT_REVIEW: "DICT answered OK to the VSync of our active keys without those under review: nothing"
    " else differs",
    Proof.EVENT_CHAIN: "our VSync at one moment equals DICT's at one event of its log, as the set moved too fast for a"
    " verification to land",
}
_TITLES = {
    "reports": "Syncs",
    "verifications": "Verifications by key type, and what was proved how",
    "fixes": "Repairs, one by one",
    "review_items": "Keys that only we hold, and how long they waited",
    "review_steps": "What was decided about them, by whom and why",
    "calls": "Calls to DICT, with their CorrelationIds",
    "details": "What was changed, before and after: personal data",
}
_OK = Cell("#8fce9b", "✓", "")
_NOK = Cell("#e58a84", "✗", "")
_NOT_ASKED = Cell("#d0d0d0", "-", "")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the page shows: the tables of `local_db.audit`, and what verifying the chains has found."""

    period: Period
    tables: Mapping[str, pl.DataFrame]
    chains: Sequence[Chain]
    findings: Sequence[Finding]
    made_at: datetime
    made_by: str


@dataclass(frozen=True, slots=True)
class _Table:
    name: str
    title: str
    columns: Sequence[str]
    numeric: Sequence[bool]
    rows: Sequence[Sequence[str]]
    left_out: int


def render(evidence: Evidence) -> str:
    """Return the page."""
    environment = Environment(
        loader=PackageLoader("vsync_dagster.audit"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    style, script = (_source(environment, name) for name in ("report.css", "report.js"))
    page: str = environment.get_template("report.html").render(
        evidence=evidence,
        period=evidence.period,
        style=Markup(style),  # noqa: S704 - our own files
        script=Markup(script),  # noqa: S704
        policy=f"default-src 'none'; style-src 'sha256-{_digest(style)}'; script-src 'sha256-{_digest(script)}'",
        figures={title: Markup(figure) for title, figure in _figures(evidence).items()},  # noqa: S704 - by ElementTree
        tables=[_table(name, frame) for name, frame in evidence.tables.items()],
        proofs=PROOFS,
    )
    return page


def _source(environment: Environment, name: str) -> str:
    assert environment.loader is not None  # noqa: S101 - it was given one
    return environment.loader.get_source(environment, name)[0]


def _digest(text: str) -> str:
    return base64.b64encode(sha256(text.encode()).digest()).decode()


def _figures(evidence: Evidence) -> dict[str, str]:
    """Return the figures by title."""
    shown = plots.days(evidence.period.first_day, evidence.period.last_day)
    reports, items = evidence.tables["reports"], evidence.tables["review_items"]
    # What another run has found is in the report of that one.
    compared = reports.filter(pl.col("compared_by").is_null() | (pl.col("compared_by") == pl.col("run_id")))
    found = [
        Series("missing here", "#4c78a8", _by_day(compared, "missing_local")),
        Series("outdated here", "#f2a541", _by_day(compared, "outdated_local")),
        Series("missing at DICT", "#b0413e", _by_day(compared, "missing_bacen")),
    ]
    done = [
        Series("created", "#4c78a8", _by_day(reports, "entries_created")),
        Series("updated", "#f2a541", _by_day(reports, "entries_updated")),
        Series("put up for review", "#b0413e", _by_day(reports, "put_up_for_review")),
        Series("failed", "#555555", _by_day(reports, "fixes_failed")),
    ]
    waited = Series("hours open, the longest of those put up that day", "#7a5195", _longest_open(items))
    stacked = {
        "Discrepancies by day": found,
        "Repairs by day": done,
        "Hours that review items were open, by the day they were put up": [waited],
    }
    verified = "Verification by day and key type: how the day's last sync ended"
    return {
        verified: plots.calendar(verified, _verified(evidence.tables["verifications"]), shown),
        **{title: plots.bars(title, series, shown) for title, series in stacked.items()},
    }


def _verified(verifications: pl.DataFrame) -> dict[str, dict[date, Cell]]:
    """Return, by key type, how each day ended: its last sync counts, and a dry run is none."""
    rows: dict[str, dict[date, Cell]] = {str(name): {} for name in KeyType}
    real = verifications.filter(~pl.col("dry_run"))
    for day, key_type, after, proof in real.select("sync_day", "key_type", "after", "proof").rows():
        like = {"OK": _OK, "NOK": _NOK}.get(after, _NOT_ASKED)
        words = f"{day} {key_type}: {after or 'not verified'}{f', {PROOFS.get(proof, proof)}' if proof else ''}"
        rows.setdefault(key_type, {})[day] = Cell(like.colour, like.sign, words)
    return rows


def _by_day(reports: pl.DataFrame, column: str) -> dict[date, float | None]:
    """Return a column's sum by day; None for a day of which no report knows it."""
    days = reports.filter(~pl.col("dry_run")).group_by("sync_day")
    known = pl.when(pl.col(column).is_not_null().any()).then(pl.col(column).sum())
    return dict(days.agg(known.alias(column)).rows())


def _longest_open(items: pl.DataFrame) -> dict[date, float | None]:
    by_day = items.group_by(pl.col("put_up_at").dt.convert_time_zone(TIMEZONE).dt.date())
    return dict(by_day.agg(pl.col("open_hours").max()).rows())


def _table(name: str, frame: pl.DataFrame) -> _Table:
    shown = frame.tail(ROWS)
    return _Table(
        name,
        _TITLES[name],
        frame.columns,
        [kind.is_numeric() for kind in frame.dtypes],
        [[_words(value) for value in row] for row in shown.rows()],
        len(frame) - len(shown),
    )


def _words(value: object) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.isoformat(" ", "seconds").replace("+00:00", "Z")
        case float():
            return f"{value:.1f}"
        case _:
            return str(value)
