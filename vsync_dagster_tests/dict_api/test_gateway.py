"""The variables of a gateway, and calls over it."""

from pathlib import Path

import pytest

from vsync_dagster.dict_api.errors import DictIdentityError, DictUnavailableError
from vsync_dagster.dict_api.exchange import http_client
from vsync_dagster.dict_api.settings import DictSettings, check_signing, read_dict_settings
from vsync_dagster.reconcile.errors import EnvironmentVariableError
from vsync_dagster_tests.dict_api.parts import Line
from vsync_dagster_tests.gateway import running_gateway
from vsync_dagster_tests.world import ISPB, certificates

UNUSED = "https://127.0.0.1:1/api/v2/"


def settings(url: str = "http://127.0.0.1:16522/api/v2", **changes: str) -> DictSettings:
    return read_dict_settings(
        {
            "VSYNC_DICT_GATEWAY": url,
            "VSYNC_DICT_SIGNING_CERT_FILES": str(certificates().signing.certificate_file),
            **changes,
        }
    )


def refused(**changes: str) -> str:
    with pytest.raises(EnvironmentVariableError) as error:
        settings(**changes)
    assert "geheim" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"url": "http://geheim/"}, "VSYNC_DICT_GATEWAY must be https, or http to this machine"),
        ({"url": "geheim"}, "VSYNC_DICT_GATEWAY is malformed"),
        ({"url": "https://geheim/"}, "VSYNC_DICT_GATEWAY_CA_FILE is not set"),
        ({"VSYNC_DICT_URL": "https://geheim/"}, "VSYNC_DICT_GATEWAY and VSYNC_DICT_URL are both set"),
        ({"VSYNC_DICT_INSECURE": "1"}, "VSYNC_DICT_GATEWAY and VSYNC_DICT_INSECURE are both set"),
        ({"VSYNC_DICT_GATEWAY_ANSWERS": "geheim"}, "VSYNC_DICT_GATEWAY_ANSWERS is malformed; it is signed or vouched"),
        ({"VSYNC_DICT_GATEWAY_ANSWERS": "vouched"}, "VSYNC_DICT_GATEWAY_ANSWERS=vouched needs an https"),
        ({"VSYNC_DICT_GATEWAY_HOST": "geheim:1"}, "VSYNC_DICT_GATEWAY_HOST is malformed"),
        ({"VSYNC_DICT_DOWNLOAD_BASE": "http://geheim/"}, "VSYNC_DICT_DOWNLOAD_BASE must be https, or http to this"),
        ({"VSYNC_DICT_SIGNING_CERT_FILES": ""}, "VSYNC_DICT_SIGNING_CERT_FILES is not set"),
    ],
)
def test_what_is_missing_or_contradicts_is_named(changes: dict[str, str], said: str) -> None:
    assert refused(**changes).startswith(said)


def test_without_a_key_the_gateway_signs_and_with_one_we_do() -> None:
    ours = {name: value for name, value in certificates().variables(ISPB).items() if name.startswith("VSYNC_SIGNING")}

    assert not check_signing(settings())
    assert check_signing(settings(**ours))


def test_files_come_through_the_gateway_by_their_own_path() -> None:
    place = settings().downloads.place("https://arq.pi.rsfn.net.br:1130/cids/12345678/x.txt")

    assert str(place) == "http://127.0.0.1:16522/cids/12345678/x.txt"
    rule = settings(VSYNC_DICT_GATEWAY_HOST="dict.pi.rsfn.net.br").downloads
    assert rule.headers("https://arq.pi.rsfn.net.br:1130/x")["Host"] == "arq.pi.rsfn.net.br"


def test_a_page_of_the_gateways_own_is_a_gateway_that_fails(tmp_path: Path) -> None:
    with running_gateway(UNUSED, tmp_path) as gateway:
        gateway.answers = "html"
        ours = settings(gateway.url, VSYNC_DICT_GATEWAY_CA_FILE=str(gateway.authority_file))
        with (
            http_client(ours.url, ssl_context=ours.ssl_context) as http,
            pytest.raises(DictUnavailableError, match="HTTP 502"),
        ):
            Line(http).client(attempts=2).list_policies()
    assert len(gateway.hosts) == 2


def test_a_gateway_may_ask_for_a_certificate_of_its_own_kind(tmp_path: Path) -> None:
    with running_gateway(UNUSED, tmp_path, client_authority=certificates().authority_file) as gateway:
        gateway.answers = "html"
        known = {"VSYNC_DICT_GATEWAY_CA_FILE": str(gateway.authority_file)}
        client = certificates().client("11111111")
        own = {
            "VSYNC_DICT_GATEWAY_CLIENT_CERT_FILE": str(client.certificate_file),
            "VSYNC_DICT_GATEWAY_CLIENT_KEY_FILE": str(client.key_file),
        }
        with http_client(gateway.url, ssl_context=settings(gateway.url, **known, **own).ssl_context) as http:
            assert http.get("policies/").status_code == 502
        with (
            http_client(gateway.url, ssl_context=settings(gateway.url, **known).ssl_context) as http,
            pytest.raises((DictIdentityError, DictUnavailableError)),
        ):
            Line(http).client(attempts=1).list_policies()
    assert len(gateway.hosts) == 1
