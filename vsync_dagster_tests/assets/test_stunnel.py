"""Debian's stunnel between us and DICT, as docs/hsm.md sets it up, but for the lines of the HSM's engine."""

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from vsync_dagster.local_db.database import Database
from vsync_dagster.simulator.drift import drift
from vsync_dagster_tests.world import ISPB, World, certificates, running_world

STUNNEL = shutil.which("stunnel")
PAGE = Path(__file__).parents[2] / "docs" / "hsm.md"

pytestmark = pytest.mark.skipif(STUNNEL is None, reason="no stunnel here (Debian: stunnel4): it is not tested")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def running_stunnel(config: str, folder: Path, port: int, environment: dict[str, str]) -> Iterator[None]:
    file, log = folder / "stunnel.conf", folder / "stunnel.log"
    file.write_text(config)
    assert STUNNEL is not None
    with log.open("w") as output:
        process = subprocess.Popen(
            [STUNNEL, str(file)], stdout=output, stderr=output, env={**os.environ, **environment}
        )
    try:
        deadline = time.monotonic() + 20
        while process.poll() is None and time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        assert process.poll() is None, log.read_text()
        yield
    finally:
        process.terminate()
        process.wait(20)


def config_of_page(ports: tuple[int, int], hosts: tuple[str, str], key: str, certificate: Path) -> str:
    """The page's own configuration, with the test's names in place of its examples: for calls, and for files."""
    text: str
    [text] = re.findall(r"```ini\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    if not key.startswith("pkcs11:"):
        text = re.sub(r"^engine.*\n", "", text, flags=re.MULTILINE)
    calls, service, files = text.partition("[dict-files]")
    filled = [
        _filled(part, port, host, key, certificate)
        for part, port, host in zip((calls, files), ports, hosts, strict=True)
    ]
    return service.join(filled)


def _filled(text: str, port: int, host: str, key: str, certificate: Path) -> str:
    settings = {
        "accept": f"127.0.0.1:{port}",
        "connect": host,
        "sni": None,
        "checkHost": None,
        "cert": certificate,
        "key": key,
        "CAfile": certificates().authority_file,
    }
    for name, value in settings.items():
        line = f"{name} = {value}" if value else "checkIP = 127.0.0.1" if name == "checkHost" else ""
        text, changed = re.subn(rf"^{name} = .*$", line, text, flags=re.MULTILINE)
        assert changed == 1, name
    return text


def sync_through(ports: tuple[int, int], world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.populate(10)
    drift(world.directory, None, ISPB, creates=1)
    world.settle()
    for name in ("URL", "CLIENT_CERT_FILE", "CLIENT_KEY_FILE", "CA_FILE"):
        monkeypatch.delenv(f"VSYNC_DICT_{name}")
    monkeypatch.setenv("VSYNC_DICT_GATEWAY", f"http://127.0.0.1:{ports[0]}/api/v2/")
    monkeypatch.setenv("VSYNC_DICT_DOWNLOAD_BASE", f"http://127.0.0.1:{ports[1]}/")

    report = world.sync("FULL")

    assert (report.status, report.verified, report.error_message) == ("COMPLETED", True, None)
    assert world.cids_here() == world.cids_at_dict()


def test_a_sync_through_stunnel_which_holds_the_key_of_connections(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports, files_port, ours = (free_port(), free_port()), free_port(), certificates().client(ISPB)
    with running_world(database, tmp_path, monkeypatch, files_port=files_port) as world:
        hosts = (urlsplit(world.variables.variables["VSYNC_DICT_URL"]).netloc, f"127.0.0.1:{files_port}")
        config = config_of_page(ports, hosts, str(ours.key_file), ours.certificate_file)
        with running_stunnel(config, tmp_path, ports[0], {}):
            sync_through(ports, world, monkeypatch)
