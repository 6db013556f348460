"""What the command says of certificates, and of doing without."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from vsync_dagster.simulator.server import running_simulator
from vsync_dagster_tests.cli.conftest import Command
from vsync_dagster_tests.world import ISPB, World, certificates

INSECURE = dict.fromkeys(certificates().variables(ISPB))


def test_nothing_is_said_while_all_is_well(synced: Command) -> None:
    ran = synced("verify", "--ispb", ISPB)

    assert (ran.status, ran.err) == (0, "")


@pytest.mark.parametrize(("days", "warned"), [(29, True), (31, False)])
def test_verify_warns_of_a_certificate_that_ends_within_thirty_days(
    synced: Command, tmp_path: Path, days: int, warned: bool
) -> None:
    folder = certificates().authority_file.parent
    authority = trustme.CA.from_pem(certificates().authority_file.read_bytes(), (folder / "authority.key").read_bytes())
    ends_at = datetime.now(UTC) + timedelta(days=days, hours=1)
    made = authority.issue_cert("client.invalid", common_name=ISPB, not_after=ends_at)
    files = {"CERT": tmp_path / "client.pem", "KEY": tmp_path / "client.key"}
    files["CERT"].write_bytes(made.cert_chain_pems[0].bytes())
    files["KEY"].write_bytes(made.private_key_pem.bytes())

    ran = synced(
        "verify", "--ispb", ISPB, **{f"VSYNC_DICT_CLIENT_{kind}_FILE": str(file) for kind, file in files.items()}
    )

    assert ran.status == 0
    assert (f"of VSYNC_DICT_CLIENT_CERT_FILE ends on {ends_at.date()}, in {days} days: renew it" in ran.err) is warned


def test_a_dict_that_nothing_verifies_is_spoken_to_only_if_told_so_and_each_run_says_so(
    world: World, synced: Command
) -> None:
    world.populate(25)
    without = dict.fromkeys(certificates().variables(ISPB))
    with running_simulator(world.directory) as url:
        refused = synced("verify", "--ispb", ISPB, VSYNC_DICT_URL=url, **without)
        allowed = [
            synced(*command, "--ispb", ISPB, VSYNC_DICT_URL=url, VSYNC_DICT_INSECURE="1", **without)
            for command in (["verify"], ["sync"])
        ]

    assert refused.status == 64
    said = "VSYNC_DICT_URL must be https; it looks like https://host:16522/api/v2/"
    assert refused.err == f"vsync: {said} (see docs/messages.md#environment-variable)\n"
    for ran in allowed:
        assert ran.status == 0
        assert "warning: DICT's signatures were not verified: VSYNC_DICT_INSECURE=1" in ran.err


def test_a_missing_certificate_is_one_line_before_anything_is_begun(world: World, synced: Command) -> None:
    ran = synced("sync", "--ispb", ISPB, VSYNC_SIGNING_KEY_FILE=None)

    assert ran.status == 64
    assert ran.err.startswith("vsync: VSYNC_SIGNING_KEY_FILE is not set; set it to the PEM file of its key")
    assert len(ran.err.splitlines()) == 1
    assert world.sql("select count(*) from sync_reports") == [(0,)]


@contextmanager
def serving(*options: str, folder: Path) -> Iterator[str]:
    """`vsync simulator serve` on a free port; its API's host and port."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("VSYNC_", "DAGSTER_"))}
    program = str(Path(sys.executable).with_name("vsync"))
    command = [program, "simulator", "serve", "--port", str(port), *options]
    with subprocess.Popen(command, cwd=folder, env=kept, stderr=subprocess.DEVNULL) as server:
        try:
            _wait_for(port)
            yield f"127.0.0.1:{port}"
        finally:
            server.send_signal(signal.SIGTERM)


def _wait_for(port: int) -> None:
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.1)
        else:
            return
    pytest.fail("the server did not listen")


def test_the_simulators_own_certificates_let_the_command_in(world: World, synced: Command, tmp_path: Path) -> None:
    state = str(tmp_path / "other" / "dict.sqlite")
    synced("simulator", "populate", "--ispb", ISPB, "--keys", "25", "--state", state)
    exported = synced("simulator", "certificates", "--ispb", ISPB, "--state", state).out
    variables = dict(line.removeprefix("export ").split("=", 1) for line in exported.splitlines())
    with serving("--state", state, folder=tmp_path) as address:
        ran = synced("verify", "--ispb", ISPB, VSYNC_DICT_URL=f"https://{address}/api/v2/", **variables)
        stranger = synced("verify", "--ispb", ISPB, VSYNC_DICT_URL=f"https://{address}/api/v2/")

    assert variables.keys() == certificates().variables(ISPB).keys()
    assert (ran.status, ran.err) == (0, "")
    assert stranger.status == 2
    assert "look at VSYNC_DICT_CA_FILE" in stranger.err
