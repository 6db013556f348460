"""Reports that could not be written because PostgreSQL was what failed: files, until the next run writes them."""

import hashlib
import logging
from dataclasses import replace
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict
from pydantic import TypeAdapter

from vsync_dagster.local_db import fixes
from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.reports import Report
from vsync_dagster.sync.report import count_done, write_report

_log = logging.getLogger(__name__)

_REPORT = TypeAdapter(Report)


def spool(home: Path, report: Report, database_url: str) -> Path:
    """Keep a report as a file below `VSYNC_HOME`, for the database of that URL alone, named after its run."""
    path = _folder(home, database_url) / f"{report.run_id}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".tmp")
    unfinished.write_bytes(_REPORT.dump_json(report))
    unfinished.replace(path)
    return path


def spooled(home: Path, run_id: str) -> Report | None:
    """Return the spooled report of a run, if there is one."""
    for path in (home / "spool").glob(f"*/{run_id}.json"):
        return _REPORT.validate_json(path.read_bytes())
    return None


def write_spooled(home: Path, database: Database) -> None:
    """Write the reports that wait for this database, now that it is back; those for another one wait on."""
    for path in sorted(_folder(home, database.url).glob("*.json")):
        report = _with_fixes(_REPORT.validate_json(path.read_bytes()), database)
        write_report(database, report)
        path.unlink()
        _log.info("wrote the spooled report %s of run %s", report.id, report.run_id)


def _with_fixes(report: Report, database: Database) -> Report:
    """Return a report with the counts of its run's fixes, which could not be read when it was spooled."""
    if report.fixes_failed is not None:
        return report
    run_id, ispb = report.run_id, report.participant_ispb
    done = database.retrying(lambda connection: fixes.outcomes(connection, run_id, ispb))
    return replace(report, **count_done(done))


def _folder(home: Path, database_url: str) -> Path:
    """Return the folder of a database, named after its server, port and name; logins and passwords may change."""
    try:
        known = conninfo_to_dict(database_url)
    except psycopg.Error:  # no database at all: nobody will ask for it
        known = {}
    place = [str(known.get(part) or "") for part in ("host", "hostaddr", "port", "dbname")]
    return home / "spool" / hashlib.sha256("\0".join(place).encode()).hexdigest()[:16]
