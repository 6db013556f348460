"""What stands around a sync: storage of snapshots, which it needs; broker and alert targets, without which it works."""

import ssl
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import fsspec
import httpx

from vsync_dagster.alerts.targets import ALERTMANAGER, read_targets
from vsync_dagster.doctor.check import Check, State, failed
from vsync_dagster.doctor.network import TIMEOUT_SECONDS, address_of, check_server
from vsync_dagster.environment import Environment
from vsync_dagster.local_db import alert_targets
from vsync_dagster.local_db.database import Database
from vsync_dagster.reconcile.errors import VsyncError

_PROBE = b"vsync doctor"
_STORAGE_ACTION = "check VSYNC_STORAGE_URL (by default below VSYNC_HOME): its permissions, credentials and free space"


def check_storage(environment: Environment) -> Check:
    """Write a small file, read it and delete it, and with it the folders that had to be made for it."""
    try:
        filesystem, root = fsspec.core.url_to_fs(environment.storage_url)
        is_local = "file" in filesystem.protocol
        missing = _missing_folders(Path(root)) if is_local else []
        probe = f"{root.rstrip('/')}/.vsync-doctor-{uuid4()}"
        try:
            if is_local:
                filesystem.makedirs(root, exist_ok=True)
            filesystem.pipe_file(probe, _PROBE)
            content = filesystem.cat_file(probe)
            filesystem.rm_file(probe)
        finally:
            _clear(Path(probe) if is_local else None, missing)
    except Exception as error:  # noqa: BLE001 - each kind of store has errors of its own, whose texts may hold secrets
        reason = error.strerror if isinstance(error, OSError) and isinstance(error.strerror, str) else None
        detail = f"cannot be written, read and deleted ({reason or type(error).__name__})"
        return Check("storage", State.FAILED, detail, _STORAGE_ACTION)
    if content != _PROBE:
        return Check("storage", State.FAILED, "does not return what was written", _STORAGE_ACTION)
    return Check("storage", State.OK, "a file was written, read and deleted")


def _missing_folders(folder: Path) -> list[Path]:
    """Return the folders that making one would make, the innermost first."""
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    return missing


def _clear(probe: Path | None, folders: list[Path]) -> None:
    try:
        if probe is not None:
            probe.unlink(missing_ok=True)
        for folder in folders:
            folder.rmdir()
    except OSError:  # it could not be made, or another process has begun to use it
        return


def check_broker(environment: Environment) -> Check:
    """Check that the broker takes a connection; nothing is sent, since a producer could make the topic."""
    url = environment.pulsar_url
    if url is None:
        action = "set VSYNC_PULSAR_URL if somebody consumes events"
        return Check("broker", State.WARNING, "none is named: events wait in the outbox", action)
    is_tls = url.startswith("pulsar+ssl:")
    context = ssl.create_default_context() if is_tls else None
    address = address_of(url, 6651 if is_tls else 6650)
    return check_server("broker", address, context, "VSYNC_PULSAR_URL", State.WARNING)


def check_alert_targets(environment: Environment, database: Database | None) -> list[Check]:
    """Check that somebody hears of alerts: whether targets are named, whether the last message was taken."""
    name = "alert targets"
    try:
        targets = read_targets(environment)
    except VsyncError as error:
        return [failed(name, error, State.WARNING)]
    if not targets:
        action = "set VSYNC_ALERT_URLS or VSYNC_ALERTMANAGER_URL"
        return [Check(name, State.WARNING, "none is named: nobody hears of a failed sync", action)]
    failures = _failures(environment.alert_repeat, database)
    return [_target(environment, target.name, failures) for target in targets]


def _target(environment: Environment, name: str, failures: dict[str, str]) -> Check:
    title = f"alert target {name}"
    if name == ALERTMANAGER and environment.alertmanager_url:
        return _alertmanager(title, environment.alertmanager_url)
    if name in failures:
        return Check(title, State.WARNING, f"took no message ({failures[name]})", "check its URL: `vsync alerts test`")
    return Check(title, State.OK, "is named; `vsync alerts test` sends it a message")


def _alertmanager(title: str, url: str) -> Check:
    action = "check VSYNC_ALERTMANAGER_URL"
    try:
        answer = httpx.get(f"{url.rstrip('/')}/-/healthy", timeout=TIMEOUT_SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Check(title, State.WARNING, f"does not answer ({type(error).__name__})", action)
    if not answer.is_success:
        return Check(title, State.WARNING, f"answers HTTP {answer.status_code}", action)
    return Check(title, State.OK, "answers")


def _failures(repeat: timedelta, database: Database | None) -> dict[str, str]:
    if database is None:
        return {}
    try:
        with database.connect() as conn:
            conn.execute("set transaction read only")
            return {one.name: one.last_error or "" for one in alert_targets.states(conn, repeat) if one.failures}
    except VsyncError:
        return {}
