"""Reports that could not be written because PostgreSQL was what failed: files, until the next run writes them."""

import logging
from pathlib import Path

from pydantic import TypeAdapter

from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.reports import Report
from vsync_dagster.sync.report import write_report

_log = logging.getLogger(__name__)

_REPORT = TypeAdapter(Report)


def spool(home: Path, report: Report) -> Path:
    """Keep a report as a file below `VSYNC_HOME`, named after its run."""
    path = _file(home, report.run_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".tmp")
    unfinished.write_bytes(_REPORT.dump_json(report))
    unfinished.replace(path)
    return path


def spooled(home: Path, run_id: str) -> Report | None:
    """Return the spooled report of a run, if there is one."""
    path = _file(home, run_id)
    return _REPORT.validate_json(path.read_bytes()) if path.exists() else None


def write_spooled(home: Path, database: Database) -> None:
    """Write the reports that wait in the spool, now that the database is back."""
    for path in sorted(_file(home, "*").parent.glob("*.json")):
        report = _REPORT.validate_json(path.read_bytes())
        write_report(database, report)
        path.unlink()
        _log.info("wrote the spooled report %s of run %s", report.id, report.run_id)


def _file(home: Path, run_id: str) -> Path:
    return home / "spool" / f"{run_id}.json"
