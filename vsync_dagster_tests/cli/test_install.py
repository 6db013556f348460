"""docs/install.md as its reader follows it: its own SQL and commands, on a server where nothing of VSYNC is yet."""

import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, load_pem_private_key, pkcs12
from cryptography.x509 import load_pem_x509_certificate

from vsync_dagster.embedded.postgres import embedded_postgres
from vsync_dagster.environment import Environment
from vsync_dagster.metrics import VsyncCollector
from vsync_dagster.simulator.server import running_simulator
from vsync_dagster.simulator.settings import Settings
from vsync_dagster.simulator.state import DictState
from vsync_dagster_tests.world import ISPB, certificates

INDIRECT = "87654321"
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "install.md").read_text()
# What a participant reads in place of the page's dots.
PASSWORD = "none"


def blocks(language: str, section: str) -> str:
    """Return what a section of the page has of a language."""
    [text] = re.findall(rf"^## {section}\. .*?(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return "\n".join(re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)).replace("…", PASSWORD)


def run(script: str, folder: Path, variables: dict[str, str]) -> str:
    """Have a shell run commands one after the other until one fails; return what they print."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("VSYNC_", "DAGSTER_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    done = subprocess.run(
        ["bash", "-ec", script], cwd=folder, env={**kept, "PATH": path, **variables}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    return done.stdout


def split_as_the_page_says(folder: Path, given: dict[str, str], name: str, prefix: str) -> dict[str, str]:
    """Split a PKCS#12 file by the page's commands; return the variables that name its parts."""
    pair = (Path(given[f"{prefix}_CERT_FILE"]), Path(given[f"{prefix}_KEY_FILE"]))
    certificate = load_pem_x509_certificate(pair[0].read_bytes())
    key = load_pem_private_key(pair[1].read_bytes(), None)
    assert isinstance(key, RSAPrivateKey | EllipticCurvePrivateKey)
    encryption = BestAvailableEncryption(PASSWORD.encode())
    packed = pkcs12.serialize_key_and_certificates(None, key, certificate, None, encryption)
    (folder / f"{name}.p12").write_bytes(packed)
    commands = blocks("sh", "2").split("export", 1)[0].replace("client.", f"{name}.")
    answered = commands.replace(".p12 ", f".p12 -passin pass:{PASSWORD} -passout pass:longer-{PASSWORD} ")
    run(answered, folder, {})
    return {
        f"{prefix}_CERT_FILE": f"{name}.pem",
        f"{prefix}_KEY_FILE": f"{name}.key",
        f"{prefix}_KEY_PASSWORD": f"longer-{PASSWORD}",
    }


def test_from_nothing_to_the_first_proof(tmp_path: Path) -> None:
    given = certificates().variables(ISPB)
    with (
        DictState(tmp_path / "dict.sqlite", now=lambda: datetime.now(UTC)) as state,
        running_simulator(state, Settings(log_lag=timedelta(0), file_delay=timedelta(0)), certificates()) as dict_url,
        embedded_postgres(tmp_path / "home", keep=False) as server,
    ):
        state.participants.add(ISPB)
        state.participants.add(INDIRECT, via=ISPB)
        variables = {
            **given,
            **split_as_the_page_says(tmp_path, given, "client", "VSYNC_DICT_CLIENT"),
            **split_as_the_page_says(tmp_path, given, "signing", "VSYNC_SIGNING"),
            "VSYNC_DICT_URL": dict_url,
        }
        place = urlsplit(server)._replace(path="/postgres")
        server = place.geturl()
        on_the_server(server, "drop database vsync")  # which this embedded server comes with
        before, after = blocks("sql", "3").split("grant", 1)
        on_the_server(server, before)
        commands = re.sub("postgres:[^@]*@host", f"{place.username}:{place.password}@host", blocks("sh", "3"))
        commands = commands.replace("@host/", f"@{place.hostname}:{place.port}/")
        run(commands.split("export", 1)[0], tmp_path, variables)
        people = "".join(f"create role some_{who}; " for who in ("reviewer", "auditor", "engineer"))
        on_the_server(server, f"{people}grant {after}")

        installed = f"{commands}\n{blocks('sh', '4')}\n{blocks('sh', '5')}\n"
        told = run(f"{installed}\nvsync sync\nvsync retention run --json\nvsync participants list", tmp_path, variables)
        reads = f"postgresql://bank_vsync_metrics:{PASSWORD}@{place.hostname}:{place.port}/vsync"
        metrics = {
            metric.name: metric for metric in VsyncCollector(Environment({"VSYNC_DATABASE_URL": reads})).collect()
        }

    assert told.count("COMPLETED") == 2
    assert '"sync_reports": 0' in told
    assert [sample.value for sample in metrics["vsync_up"].samples] == [1]
    assert {sample.labels["ispb"] for sample in metrics["vsync_status"].samples} == {ISPB, INDIRECT}


def on_the_server(url: str, script: str) -> None:
    """Run SQL as a DBA does, a statement after the other."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in re.sub("--.*", "", script).split(";"):
            if statement.strip():
                connection.execute(statement.encode())


pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
