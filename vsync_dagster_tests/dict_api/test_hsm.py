"""Signatures by a key that stays in a token: SoftHSM2 through its real PKCS#11 module."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pkcs11
import pytest
import xmlsec
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from lxml import etree

from vsync_dagster.dict_api.hsm import _modules
from vsync_dagster.dict_api.messages import CreateSyncVerificationRequest, SyncVerification
from vsync_dagster.dict_api.settings import DictSettings, check_signing, read_dict_settings
from vsync_dagster.dict_api.xml import parse_document, serialize, to_xml
from vsync_dagster.reconcile.errors import PermanentError, TransientError
from vsync_dagster_tests.dict_api.test_signatures_java import JAVA, run
from vsync_dagster_tests.signing import Identity
from vsync_dagster_tests.softhsm import MODULE, PIN, SoftHsm, needs_softhsm
from vsync_dagster_tests.world import ISPB, certificates

pytestmark = needs_softhsm
VARIABLES = {"VSYNC_DICT_URL": "https://dict.example/"}
REQUEST = CreateSyncVerificationRequest(SyncVerification(ISPB, "CPF", bytes(range(32))))


def us() -> Identity:
    """Our certificate for signatures, whose key is put into the token."""
    issued = certificates().participant_signing(ISPB)
    key = load_pem_private_key(issued.key_file.read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return Identity(issued.certificate(), key)


@pytest.fixture
def hsm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SoftHsm]:
    made = SoftHsm(tmp_path)
    made.prepare()
    made.add_token("vsync")
    made.add_key("vsync", "signing", us().key)
    monkeypatch.setenv("SOFTHSM2_CONF", str(made.config))
    yield made
    unplug()


def unplug() -> None:
    """End all sessions, as a restart of the HSM does, and forget the PINs of other tests' tokens."""
    if MODULE is not None and (library := pkcs11._loaded.get(str(MODULE))) is not None and library.initialized:
        library.finalize()
    _modules.clear()


def settings(uri: str, **changes: str) -> DictSettings:
    given = {**VARIABLES, **certificates().variables(ISPB), "VSYNC_SIGNING_KEY": uri}
    del given["VSYNC_SIGNING_KEY_FILE"]
    return read_dict_settings({**given, **changes})


def refused(uri: str, **changes: str) -> str:
    """The one line that says what is wrong, which holds no secret."""
    with pytest.raises(PermanentError) as error:
        check_signing(settings(uri, **changes))
    assert "geheim" not in str(error.value)
    assert "4711" not in str(error.value)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_our_verifier_and_xmlsec_accept_what_the_token_signed(hsm: SoftHsm) -> None:
    body = serialize(settings(hsm.uri()).sign(to_xml(REQUEST)))

    us().verify(parse_document(body))
    certificates().signatures().verify(parse_document(body), ISPB)
    context = xmlsec.SignatureContext()
    pem = us().certificate.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    context.key = xmlsec.Key.from_memory(pem, xmlsec.constants.KeyDataFormatPem)
    context.verify(parse_document(body)[0])


def test_it_is_the_signature_of_the_same_key_in_a_file(hsm: SoftHsm) -> None:
    signed = settings(hsm.uri()).sign(to_xml(REQUEST))

    assert etree.tostring(signed) == etree.tostring(us().sign(to_xml(REQUEST)))


@pytest.mark.skipif(JAVA is None, reason="no `java` here: what the JDK accepts is not looked at")
def test_java_accepts_what_the_token_signed(hsm: SoftHsm, tmp_path: Path) -> None:
    certificate, document = certificates().participant_signing(ISPB).certificate_file, tmp_path / "request.xml"
    document.write_bytes(serialize(settings(hsm.uri()).sign(to_xml(REQUEST))))

    told = run("verify", certificate, document).decode().splitlines()

    assert [told[0], *told[-2:]] == ["signature true", "reference '#key-info-id' true", "reference '' true"]


def test_a_token_that_signs_digests_only_is_given_the_digest(hsm: SoftHsm) -> None:
    hsm.prepare("slots.mechanisms = CKM_RSA_PKCS")

    signed = settings(hsm.uri()).sign(to_xml(REQUEST))

    us().verify(signed)
    mechanisms = pkcs11.lib(str(MODULE)).get_token(token_label="vsync").slot.get_mechanisms()
    assert pkcs11.Mechanism.SHA256_RSA_PKCS not in mechanisms, "this test did not look at the other way"


def test_a_check_signs_once_and_verifies(hsm: SoftHsm) -> None:
    assert check_signing(settings(hsm.uri()))


def test_the_key_is_found_by_id_too_and_the_files_by_variables(hsm: SoftHsm) -> None:
    assert check_signing(
        settings(
            "pkcs11:token=vsync;id=%01;type=private",
            VSYNC_SIGNING_MODULE=str(MODULE),
            VSYNC_SIGNING_PIN_FILE=str(hsm.pin_file),
        )
    )


def test_several_threads_and_settings_share_a_token(hsm: SoftHsm) -> None:
    several = [settings(hsm.uri()) for _ in range(3)]

    with ThreadPoolExecutor(8) as pool:
        bodies = list(pool.map(lambda one: serialize(several[one % 3].sign(to_xml(REQUEST))), range(60)))

    for body in bodies:
        us().verify(parse_document(body))


# python-pkcs11 0.10.1 complains, in a destructor, of each search on a session that is gone.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_lost_session_is_opened_again(hsm: SoftHsm) -> None:
    ours = settings(hsm.uri())
    assert check_signing(ours)

    pkcs11.lib(str(MODULE)).finalize()

    assert check_signing(ours)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_token_that_is_gone_is_a_transient_error_and_works_once_it_is_back(hsm: SoftHsm) -> None:
    ours = settings(hsm.uri())
    assert check_signing(ours)
    away = hsm.tokens.rename(hsm.folder / "away")
    hsm.tokens.mkdir()
    pkcs11.lib(str(MODULE)).finalize()

    with pytest.raises(TransientError) as error:
        check_signing(ours)
    hsm.tokens.rmdir()
    away.rename(hsm.tokens)

    assert str(error.value) == (
        "the token that VSYNC_SIGNING_KEY names is not there; connect it, or start its HSM, and try again"
    )
    assert check_signing(ours)


def test_a_forked_child_signs_as_well(hsm: SoftHsm, tmp_path: Path) -> None:
    """In a process of its own: a fork of this one would take its threads' locks along."""
    given = {**VARIABLES, **certificates().variables(ISPB), "VSYNC_SIGNING_KEY": hsm.uri()}
    del given["VSYNC_SIGNING_KEY_FILE"]
    program = f"""
import os
from vsync_dagster.dict_api.settings import check_signing, read_dict_settings
ours = read_dict_settings({given!r})
assert check_signing(ours)
child = os.fork()
if child == 0:
    os._exit(0 if check_signing(ours) else 1)
assert os.waitpid(child, 0)[1] == 0
assert check_signing(ours)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_a_refused_pin_is_not_tried_again(hsm: SoftHsm) -> None:
    hsm.pin_file.write_text("geheim-0815")
    said = "the token refuses the PIN of VSYNC_SIGNING_PIN_FILE; it is not tried again by this process until the file"

    for _ in range(5):
        assert refused(hsm.uri()).startswith(said)

    flags = pkcs11.lib(str(MODULE)).get_token(token_label="vsync").flags
    assert not flags & pkcs11.TokenFlag.USER_PIN_LOCKED
    [module] = _modules.values()
    assert len(module._refused_pins) == 1
    hsm.pin_file.write_text(PIN)
    assert check_signing(settings(hsm.uri()))


def test_a_key_of_another_certificate_is_noticed(hsm: SoftHsm) -> None:
    hsm.add_key("vsync", "other", rsa.generate_private_key(65537, 2048), "02")

    assert refused(hsm.uri("token=vsync;object=other")) == (
        "VSYNC_SIGNING_KEY is the key of another certificate than that of VSYNC_SIGNING_CERT_FILE"
    )


def test_one_key_and_one_token_must_be_meant(hsm: SoftHsm) -> None:
    hsm.add_token("spare")
    hsm.add_key("vsync", "signing", us().key, "02")

    assert "names no RSA private key" in refused(hsm.uri("token=vsync;object=other"))
    assert "names 2 private keys" in refused(hsm.uri("token=vsync;object=signing"))
    assert "fits 2 tokens; name one by token, serial or slot-id" in refused(hsm.uri("object=signing"))
    assert check_signing(settings(hsm.uri("token=vsync;object=signing;id=%02")))


def test_files_that_cannot_be_used_are_named(hsm: SoftHsm, tmp_path: Path) -> None:
    no_library, absent, empty = tmp_path / "geheim.so", tmp_path / "geheim-absent", tmp_path / "geheim-empty"
    no_library.write_text("geheim")
    empty.write_text("\n")

    def told(module: object = MODULE, pin_file: Path = hsm.pin_file) -> str:
        return refused(f"pkcs11:object=signing?module-path={module}&pin-source={pin_file}")

    assert (
        told(no_library)
        == "VSYNC_SIGNING_MODULE, or module-path in VSYNC_SIGNING_KEY, names a file that is no PKCS#11 library"
    )
    assert told(absent) == "VSYNC_SIGNING_MODULE, or module-path in VSYNC_SIGNING_KEY, names a file that is not there"
    assert told(pin_file=absent).endswith("cannot be read: No such file or directory")
    assert told(pin_file=empty).endswith("names an empty file")


def test_the_missing_binding_says_how_to_install_it(hsm: SoftHsm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pkcs11", None)

    assert refused(hsm.uri()) == (
        "VSYNC_SIGNING_KEY is set, and python-pkcs11 is not installed; run: pip install 'vsync-dagster[hsm]'"
    )


def test_a_pin_file_that_others_can_read_is_warned_of(hsm: SoftHsm) -> None:
    variables = {"VSYNC_SIGNING_PIN_FILE": str(hsm.pin_file)}
    uri = f"pkcs11:object=signing?module-path={MODULE}"
    assert settings(uri, **variables).warnings == ()

    hsm.pin_file.chmod(0o644)

    [warning] = settings(uri, **variables).warnings
    assert warning.startswith("the file of VSYNC_SIGNING_PIN_FILE can be read by every user")
