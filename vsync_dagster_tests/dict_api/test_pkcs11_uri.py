"""PKCS#11 URIs (RFC 7512) as VSYNC_SIGNING_KEY takes them."""

from pathlib import Path

import pytest

from vsync_dagster.dict_api.pkcs11_uri import Pkcs11Uri, read_pkcs11_uri
from vsync_dagster.reconcile.errors import EnvironmentVariableError

FILES = "?module-path=/lib/hsm.so&pin-source=/run/pin"


def refused(uri: str, **variables: str) -> str:
    with pytest.raises(EnvironmentVariableError) as error:
        read_pkcs11_uri({"VSYNC_SIGNING_KEY": uri, **variables})
    assert "geheim" not in str(error.value)
    return str(error.value)


def test_all_parts_are_read_and_decoded() -> None:
    path = "token=Banco%20Um;serial=12;object=a%3Bb;id=%01%ff;type=private"
    uri = f"pkcs11:{path}?module-path=/lib/hsm.so&pin-source=file:/run/pin"

    assert read_pkcs11_uri({"VSYNC_SIGNING_KEY": uri}) == Pkcs11Uri(
        {"token": "Banco Um", "serial": "12"}, "a;b", b"\x01\xff", Path("/lib/hsm.so"), Path("/run/pin")
    )


def test_the_files_may_stand_in_variables() -> None:
    files = {"VSYNC_SIGNING_MODULE": "/lib/hsm.so", "VSYNC_SIGNING_PIN_FILE": "/run/pin"}

    read = read_pkcs11_uri({"VSYNC_SIGNING_KEY": "pkcs11:object=signing", **files})

    assert (read.module, read.pin_file) == (Path("/lib/hsm.so"), Path("/run/pin"))


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("geheim.pem", "is malformed; it looks like pkcs11:"),
        (f"pkcs11:token=geheim{FILES}", "names the key by object, id or both"),
        (
            f"pkcs11:object=a{FILES}&pin-value=geheim",
            "holds a PIN; put the PIN into a file and name it in VSYNC_SIGNING_PIN",
        ),
        (f"pkcs11:object=a;pin-value=geheim{FILES}", "holds a PIN; put the PIN into a file"),
        (f"pkcs11:object=a{FILES}&geheim", "holds each of module-path, pin-source at most once"),
        (f"pkcs11:object=a;geheim=1{FILES}", "holds each of token, serial, "),
        (f"pkcs11:object=a;object=geheim{FILES}", "at most once"),
        (f"pkcs11:object=a;type=cert{FILES}", "its type is private"),
        ("pkcs11:object=a", "VSYNC_SIGNING_MODULE is not set, and VSYNC_SIGNING_KEY has no module-path"),
        ("pkcs11:object=a?module-path=/lib/hsm.so", "VSYNC_SIGNING_PIN_FILE is not set, and VSYNC_SIGNING_KEY has no"),
        ("pkcs11:object=a?module-path=geheim.so&pin-source=/p", "is not an absolute path"),
    ],
)
def test_what_is_malformed_is_named_without_its_value(uri: str, said: str) -> None:
    assert said in refused(uri)
