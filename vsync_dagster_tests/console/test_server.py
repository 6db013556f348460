"""Where the console may listen."""

from pathlib import Path

import pytest
from starlette.applications import Starlette

from vsync_dagster.console.server import config
from vsync_dagster.reconcile.errors import RefusedError
from vsync_dagster_tests.cli.conftest import Command


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "console.example", "127.evil.example"])  # noqa: S104
def test_passwords_cross_no_network_in_the_clear(host: str) -> None:
    with pytest.raises(RefusedError, match="passwords need TLS"):
        config(Starlette(), host, 3010)
    assert config(Starlette(), host, 3010, Path("cert.pem"), Path("key.pem")).is_ssl


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_this_machine_may_talk_to_itself(host: str) -> None:
    assert not config(Starlette(), host, 3010).is_ssl


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    vsync = Command({"VSYNC_DATABASE_URL": "postgresql://nobody@127.0.0.1/none"}, tmp_path)
    refused = vsync("console", "--host", "0.0.0.0")  # noqa: S104
    assert (refused.status, refused.err.count("\n"), "need TLS" in refused.err) == (2, 1, True)
    (tmp_path / "cert.pem").touch()
    assert vsync("console", "--certificate", "cert.pem").status == 64
    assert vsync("console", VSYNC_DATABASE_URL=None).status == 64
