"""Debian's Prometheus and Alertmanager, run for a test. Where they are not installed, the test is skipped."""

import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from vsync_dagster.embedded.process import LOOPBACK, Server, serving

ALERTMANAGER_CONFIGURATION = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"


def program(name: str) -> str:
    """Return where a program is, or skip the test."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed: apt-get install prometheus prometheus-alertmanager")
    return path


@contextmanager
def running_alertmanager(folder: Path, configuration: str = ALERTMANAGER_CONFIGURATION) -> Iterator[str]:
    """Run Alertmanager with its data in a folder; yield its URL."""
    file = folder / "alertmanager.yml"
    file.write_text(configuration)
    options = [f"--config.file={file}", f"--storage.path={folder / 'alertmanager'}", "--cluster.listen-address="]
    with _serving("prometheus-alertmanager", folder, options) as url:
        yield url


@contextmanager
def running_prometheus(folder: Path, configuration: str) -> Iterator[str]:
    """Run Prometheus with its data in a folder; yield its URL."""
    file = folder / "prometheus.yml"
    file.write_text(configuration)
    options = [f"--config.file={file}", f"--storage.tsdb.path={folder / 'prometheus'}"]
    with _serving("prometheus", folder, options) as url:
        yield url


def standing_at(alertmanager_url: str) -> list[dict[str, Any]]:
    """Return the alerts that Alertmanager holds for standing, by name and fingerprint."""
    alerts: list[dict[str, Any]] = httpx.get(f"{alertmanager_url}/api/v2/alerts").raise_for_status().json()
    return sorted(alerts, key=lambda alert: (alert["labels"]["alertname"], alert["labels"].get("fingerprint", "")))


@contextmanager
def _serving(name: str, folder: Path, options: list[str]) -> Iterator[str]:
    path = program(name)
    server = Server(
        name=name,
        command=lambda port: [path, f"--web.listen-address={LOOPBACK}:{port}", *options],
        mark=options[0],
        folder=folder,
        log=folder / f"{name}.log",
        stop=signal.SIGTERM,
    )
    with serving(server, lambda _, port: _is_ready(f"http://{LOOPBACK}:{port}/-/ready")) as port:
        yield f"http://{LOOPBACK}:{port}"


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(url, timeout=1).is_success
    except httpx.HTTPError:
        return False
