"""Whole syncs through a gateway that holds the keys: real TLS to it, and from it to DICT."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from vsync_dagster.simulator.drift import drift
from vsync_dagster_tests.gateway import Gateway, running_gateway
from vsync_dagster_tests.world import ISPB, World, certificates

VOUCHED = "DICT's signatures were not verified: the gateway vouches for the answers"
OURS = (
    "VSYNC_DICT_CLIENT_CERT_FILE",
    "VSYNC_DICT_CLIENT_KEY_FILE",
    "VSYNC_SIGNING_CERT_FILE",
    "VSYNC_SIGNING_KEY_FILE",
)


@pytest.fixture
def gateway(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    """A gateway between the participant, which has no keys of its own any more, and DICT."""
    with running_gateway(world.variables.variables["VSYNC_DICT_URL"], tmp_path) as running:
        for name in (*OURS, "VSYNC_DICT_CA_FILE", "VSYNC_DICT_URL"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("VSYNC_DICT_GATEWAY", running.url)
        monkeypatch.setenv("VSYNC_DICT_GATEWAY_CA_FILE", str(running.authority_file))
        yield running


def prepare(world: World) -> None:
    world.populate(25)
    drift(world.directory, None, ISPB, creates=2, updates=1)
    world.settle()


def vouched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VSYNC_DICT_GATEWAY_ANSWERS", "vouched")
    monkeypatch.delenv("VSYNC_DICT_SIGNING_CERT_FILES")


def test_a_sync_needs_no_key_here_and_verifies_dicts_own_signatures(world: World, gateway: Gateway) -> None:
    prepare(world)

    report = world.sync("FULL")

    assert (report.status, report.verified, report.error_message) == ("COMPLETED", True, None)
    assert world.cids_here() == world.cids_at_dict()
    assert gateway.downloads > 0, "CID files come through the gateway as well"


def test_unsigned_answers_are_refused(world: World, gateway: Gateway) -> None:
    prepare(world)
    before = world.cids_here()
    gateway.answers = "unsigned"

    report = world.sync()

    assert (report.status, report.verified) == ("FAILED", False)
    assert "the signature of DICT's answer to bucketStates is refused" in str(report.error_message)
    assert world.cids_here() == before


def test_answers_that_the_gateway_vouches_for_are_taken_and_the_report_says_so(
    world: World, gateway: Gateway, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    prepare(world)
    gateway.answers = "unsigned"
    vouched(monkeypatch)

    with caplog.at_level(logging.WARNING):
        report = world.sync("FULL")

    assert (report.status, report.verified, report.error_message) == ("COMPLETED", True, VOUCHED)
    assert world.cids_here() == world.cids_at_dict()
    assert world.sql("select error_message from sync_reports") == [(VOUCHED,)]
    assert VOUCHED in caplog.text


def test_a_partial_sync_says_that_the_gateway_vouches_too(
    world: World, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(world)
    vouched(monkeypatch)
    gateway.answers = "unsigned"
    monkeypatch.setenv("VSYNC_DICT_DOWNLOAD_HOSTS", "files.example")

    report = world.sync("FULL")

    assert report.status == "PARTIAL"
    assert str(report.error_message).startswith(f"{VOUCHED}; ")


def test_a_gateway_of_another_authority_is_refused(
    world: World, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VSYNC_DICT_GATEWAY_CA_FILE", str(certificates().authority_file))

    report = world.sync()

    assert report.status == "FAILED"
    assert "no TLS connection with DICT: its server's certificate is not accepted" in str(report.error_message)
    assert "VSYNC_DICT_GATEWAY_CA_FILE" in str(report.error_message)
    assert gateway.hosts == []


def test_the_host_can_be_dicts_name(world: World, gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VSYNC_DICT_GATEWAY_HOST", "dict.pi.rsfn.net.br")

    world.sync("FULL")

    calls = [host for host in gateway.hosts if host == "dict.pi.rsfn.net.br"]
    assert len(calls) > 5
    assert set(gateway.hosts) <= {"dict.pi.rsfn.net.br", "127.0.0.1"}, "files keep the host of their own URL"
