"""What `deploy/` has for Docker and Kubernetes, as far as it can be judged without them."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import psycopg
import pytest
import yaml

from vsync_dagster.cli.app import cli
from vsync_dagster.dict_api.settings import read_dict_settings
from vsync_dagster.embedded.folder import wheel_folder
from vsync_dagster.embedded.postgres import embedded_postgres
from vsync_dagster.embedded.postgres_place import PACKAGE
from vsync_dagster.environment import Environment
from vsync_dagster_tests.world import certificates

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
VALUES: dict[str, Any] = yaml.safe_load((DEPLOY / "k8s" / "values.yaml").read_text())
MANIFESTS: list[dict[str, Any]] = list(yaml.safe_load_all((DEPLOY / "k8s" / "vsync.yaml").read_text()))
ENVIRONMENTS = ["vsync.env.example", "simulator.env"]
# Read by compose itself, for what it hands to the containers.
PASSWORDS = {"VSYNC_LOGIN_PASSWORD", "VSYNC_METRICS_PASSWORD", "VSYNC_RETENTION_PASSWORD"}
OF_COMPOSE = {"VSYNC_ENV_FILE", "VSYNC_CERTIFICATES", *PASSWORDS}


def known_variables() -> set[str]:
    """Return every variable that the program names, and those of key pairs, which it puts together."""
    texts = [path.read_text() for path in (ROOT / "vsync_dagster").rglob("*.py")]
    pairs = {f"VSYNC_{who}_{what}" for who in ("DICT_CLIENT", "SIGNING") for what in ("CERT_FILE", "KEY_FILE")}
    return {name for text in texts for name in re.findall(r'"(VSYNC_[A-Z_]+)"', text)} | pairs


def read_environment(name: str) -> dict[str, str]:
    lines = (DEPLOY / name).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def values_of(tree: Any, name: str) -> Iterator[Any]:
    """Return what stands under a name, anywhere in a document."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            if key == name:
                yield value
            yield from values_of(value, name)
    elif isinstance(tree, list):
        for each in tree:
            yield from values_of(each, name)


def images() -> set[str]:
    from_values = {f"{image['repository']}:{image['tag']}" for image in values_of(VALUES, "image")}
    return {*values_of(COMPOSE, "image"), *values_of(MANIFESTS, "image"), *from_values, *base_images()}


def base_images() -> list[str]:
    return re.findall(r"^FROM (\S+)", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)


def our_commands() -> list[list[str]]:
    found = [*values_of(COMPOSE, "command"), *values_of(MANIFESTS, "command")]
    return [command for command in found if command[0] == "vsync"]


def test_everything_that_runs_is_there() -> None:
    assert {"postgres", "pulsar", "code-location", "webserver", "daemon", "metrics"} <= set(COMPOSE["services"])
    assert COMPOSE["services"]["simulator"]["profiles"] == ["simulator"]


def test_images_and_what_is_added_to_them_are_pinned() -> None:
    for image in images():
        assert re.search(r":\d+\.\d+[\w.-]*$", image), image
    [extras] = re.findall(r'ARG EXTRAS="(.*)"', (DEPLOY / "Dockerfile").read_text())
    assert all("==" in extra for extra in extras.split())


def test_every_variable_is_one_that_the_program_reads() -> None:
    texts = [path.read_text() for path in DEPLOY.rglob("*") if path.is_file()]
    named = {name for text in texts for name in re.findall(r"VSYNC_[A-Z_]*[A-Z]", text)}
    assert len(named) > 10
    assert named - OF_COMPOSE <= known_variables()


@pytest.mark.parametrize("command", our_commands(), ids=" ".join)
def test_every_command_of_ours_is_one_that_there_is(command: list[str]) -> None:
    parsed: click.Command = cli
    arguments = command[1:]
    while isinstance(parsed, click.Group):
        parsed = parsed.commands[arguments.pop(0)]
    parsed.make_context(parsed.name, arguments)


def test_everybody_waits_for_a_service_that_there_is() -> None:
    for name, service in COMPOSE["services"].items():
        assert set(service.get("depends_on", {})) <= set(COMPOSE["services"]), name
    [location] = yaml.safe_load((DEPLOY / "workspace.yaml").read_text())["load_from"]
    assert location["grpc_server"]["host"] in COMPOSE["services"]
    assert str(location["grpc_server"]["port"]) in COMPOSE["services"]["code-location"]["command"]


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_an_environment_names_all_that_a_sync_needs(name: str) -> None:
    variables = read_environment(name)
    needed = {"VSYNC_DATABASE_URL", "VSYNC_ENCRYPTION_KEYS", *certificates().variables("99990001")}
    assert needed <= set(variables)
    assert {"VSYNC_DICT_URL", "VSYNC_DICT_ENVIRONMENT"} & set(variables), "where DICT is"
    assert Environment(variables).database_url
    assert Environment(variables).pulsar_url


def test_the_simulators_environment_fits_what_the_simulator_makes(tmp_path: Path) -> None:
    """With the volume of the certificates in another place."""
    variables = read_environment("simulator.env")
    made = {Path(path).name for path in certificates().variables("99990001").values()}
    files = {name: value for name, value in variables.items() if value.startswith("/certificates/")}
    assert {Path(path).name for path in files.values()} == made
    folder = Path(certificates().variables("99990001")["VSYNC_DICT_CA_FILE"]).parent
    here = {name: str(folder / Path(path).name) for name, path in files.items()}
    assert read_dict_settings({**variables, **here}).url == "https://simulator:8765/api/v2/"
    assert [len(key) for key in Environment(variables).encryption_keys] == [32]


def test_kubernetes_queues_runs_as_dagster_yaml_does() -> None:
    ours = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    [queue] = values_of(VALUES, "queuedRunCoordinator")
    assert queue["maxConcurrentRuns"] == ours["concurrency"]["runs"]["max_concurrent_runs"]
    assert queue["tagConcurrencyLimits"] == ours["concurrency"]["runs"]["tag_concurrency_limits"]
    assert VALUES["dagsterDaemon"]["runRetries"]["maxRetries"] == ours["run_retries"]["max_retries"]
    assert VALUES["computeLogManager"]["type"] == ours["compute_logs"]["class"]
    assert VALUES["telemetry"] == ours["telemetry"]


def test_kubernetes_runs_share_no_disk() -> None:
    [deployment] = VALUES["dagster-user-deployments"]["deployments"]
    assert deployment["env"]["VSYNC_STORAGE_URL"].startswith("s3://")
    assert VALUES["runLauncher"]["type"] == "K8sRunLauncher"
    assert not list(values_of(VALUES, "persistentVolumeClaim"))


def secrets_of(container: dict[str, Any]) -> list[str]:
    return [source["secretRef"]["name"] for source in container.get("envFrom", [])]


def test_kubernetes_metrics_read_with_a_login_of_their_own_and_know_the_certificates() -> None:
    [deployment] = VALUES["dagster-user-deployments"]["deployments"]
    [metrics] = [each for each in values_of(MANIFESTS, "containers") if each[0]["name"] == "metrics"]
    assert secrets_of(metrics[0]) == ["vsync-metrics"]
    told = {each["name"]: each["value"] for each in metrics[0]["env"]}
    assert told == {name: value for name, value in deployment["env"].items() if name in told}
    assert {*certificates().variables("99990001"), "VSYNC_DICT_ENVIRONMENT"} <= set(told)
    [pod] = [each["template"]["spec"] for each in values_of(MANIFESTS, "spec") if "replicas" in each]
    assert pod["volumes"] == deployment["volumes"]
    assert metrics[0]["volumeMounts"] == deployment["volumeMounts"]


def login_of(service: str, variable: str) -> str | None:
    """Return the user of a URL that compose hands to a service."""
    return urlsplit(str(COMPOSE["services"][service]["environment"][variable])).username


def test_each_process_has_the_login_that_the_script_makes_for_it(tmp_path: Path) -> None:
    """On a server of its own: roles hold for a whole one."""
    assert set(COMPOSE["services"]["postgres"]["environment"]) >= PASSWORDS
    with embedded_postgres(tmp_path, keep=False) as url:
        server = urlsplit(url)
        place = {
            "PATH": f"{wheel_folder(PACKAGE) / 'pginstall' / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "PGHOST": str(server.hostname),
            "PGPORT": str(server.port),
            "PGPASSWORD": str(server.password),
            "POSTGRES_USER": str(server.username),
            "POSTGRES_DB": server.path[1:],
        }
        subprocess.run(
            ["sh", DEPLOY / "postgres" / "logins.sh"],
            env={**os.environ, **place, **{name: name.lower() for name in PASSWORDS}},
            check=True,
        )
        with psycopg.connect(url) as connection:
            granted = connection.execute(
                "select roleid::regrole::text, member::regrole::text from pg_auth_members"
                " where roleid::regrole::text like 'vsync%'"
            ).fetchall()
        for login in ("login", "metrics", "retention"):
            user = "bank_vsync" if login == "login" else f"bank_vsync_{login}"
            psycopg.connect(url, user=user, password=f"vsync_{login}_password").close()
    assert dict(granted) == {
        "vsync_application": urlsplit(read_environment("vsync.env.example")["VSYNC_DATABASE_URL"]).username,
        "vsync_monitoring": login_of("metrics", "VSYNC_DATABASE_URL"),
        "vsync_retention": login_of("code-location", "VSYNC_RETENTION_DATABASE_URL"),
    }


def test_metrics_know_no_secret_of_a_sync() -> None:
    told = COMPOSE["services"]["metrics"]["environment"]
    assert [told[name] for name in ("VSYNC_ENCRYPTION_KEYS", "VSYNC_ALERT_URLS")] == ["", ""]
