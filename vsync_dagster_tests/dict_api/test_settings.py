"""The variables that concern DICT, and the connections that they make: real files, real TLS."""

import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from vsync_dagster.dict_api.certificates import CertificateExpiredError, ConfiguredCertificate, check_dates, ending_soon
from vsync_dagster.dict_api.cid_file import DownloadRule
from vsync_dagster.dict_api.errors import CidFilePlaceError, DictIdentityError, SignatureRefusedError
from vsync_dagster.dict_api.exchange import http_client
from vsync_dagster.dict_api.messages import Problem
from vsync_dagster.dict_api.settings import certificate_days_left, read_dict_settings
from vsync_dagster.environment import Environment
from vsync_dagster.reconcile.errors import EnvironmentVariableError, PermanentError
from vsync_dagster_tests.dict_api.parts import Line
from vsync_dagster_tests.signing import authority, identity
from vsync_dagster_tests.world import ISPB, certificates

URL = "https://dict.example:16522/api/v2"
REQUIRED = (
    "VSYNC_DICT_URL",
    "VSYNC_DICT_CLIENT_CERT_FILE",
    "VSYNC_DICT_CLIENT_KEY_FILE",
    "VSYNC_DICT_CA_FILE",
    "VSYNC_SIGNING_CERT_FILE",
    "VSYNC_SIGNING_KEY_FILE",
    "VSYNC_DICT_SIGNING_CERT_FILES",
)
KEYS = ("VSYNC_DICT_CLIENT_KEY", "VSYNC_SIGNING_KEY")


def variables(**changes: str | None) -> dict[str, str]:
    """All variables, with some changed or left out."""
    changed = {"VSYNC_DICT_URL": URL, **certificates().variables(ISPB), **changes}
    return {name: value for name, value in changed.items() if value is not None}


def refused(**changes: str | None) -> str:
    """The one line that says what is wrong."""
    with pytest.raises(EnvironmentVariableError) as error:
        read_dict_settings(variables(**changes))
    assert error.value.__cause__ is None
    assert "\n" not in str(error.value)
    assert "geheim" not in str(error.value)
    return str(error.value)


def encrypted(name: str, folder: Path) -> str:
    """A copy of a key file under the password `geheim`."""
    key = load_pem_private_key(Path(variables()[f"{name}_FILE"]).read_bytes(), None)
    path = folder / name
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"geheim")))
    return str(path)


def test_everything_that_makes_a_call_trustworthy_is_read() -> None:
    settings = Environment(variables()).dict_settings

    assert settings.url == URL + "/"
    assert settings.ssl_context is not None
    assert settings.ssl_context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert settings.ssl_context.verify_mode == ssl.CERT_REQUIRED
    assert settings.ssl_context.check_hostname
    assert settings.downloads == DownloadRule(frozenset({"dict.example"}))
    assert not settings.insecure
    assert "geheim" not in repr(settings)


def test_requests_are_signed_as_us_and_answers_verified_as_dicts() -> None:
    settings = read_dict_settings(variables())
    problem = Problem("Forbidden", 403, "t", "a9" * 16)

    settings.verify(certificates().signing.signer()(problem.to_xml()))
    with pytest.raises(SignatureRefusedError):
        settings.verify(settings.sign(problem.to_xml()))
    certificates().signatures().verify(settings.sign(problem.to_xml()), ISPB)


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("value", [None, "", " "])
def test_each_variable_is_required(name: str, value: str | None) -> None:
    assert refused(**{name: value}).startswith(f"{name} is not set; set it")


@pytest.mark.parametrize("name", [name for name in REQUIRED if name.endswith(("FILE", "FILES"))])
def test_a_file_that_is_not_there_or_not_what_it_should_be_is_named(name: str, tmp_path: Path) -> None:
    garbage = tmp_path / "geheim.pem"
    garbage.write_bytes(b"-----BEGIN CERTIFICATE-----\ngeheim\n-----END CERTIFICATE-----\n")

    assert refused(**{name: "/geheim/absent"}) == f"{name} names a file that cannot be read: No such file or directory"
    assert refused(**{name: str(tmp_path)}) == f"{name} names a file that cannot be read: Is a directory"
    assert refused(**{name: "geheim\0"}) == f"{name} names a file that cannot be read: it is no path"
    assert refused(**{name: str(garbage)}).startswith(f"{name} names a file without a ")
    garbage.write_bytes(b"")
    assert refused(**{name: str(garbage)}).startswith(f"{name} names a file without a ")


@pytest.mark.parametrize("prefix", ["VSYNC_DICT_CLIENT", "VSYNC_SIGNING"])
def test_a_key_of_another_certificate_is_noticed(prefix: str) -> None:
    other = certificates().participant_signing("11111111").key_file

    said = refused(**{f"{prefix}_KEY_FILE": str(other)})

    assert said == f"{prefix}_KEY_FILE is the key of another certificate than that of {prefix}_CERT_FILE"


@pytest.mark.parametrize("name", KEYS)
def test_a_key_can_be_encrypted(name: str, tmp_path: Path) -> None:
    file = encrypted(name, tmp_path)

    read_dict_settings(variables(**{f"{name}_FILE": file, f"{name}_PASSWORD": "geheim"}))
    assert refused(**{f"{name}_FILE": file}) == f"{name}_PASSWORD is not set, and the key of {name}_FILE is encrypted"
    wrong = refused(**{f"{name}_FILE": file, f"{name}_PASSWORD": "geheimer"})
    assert wrong == f"{name}_PASSWORD does not open the key of {name}_FILE"


@pytest.mark.parametrize("name", KEYS)
def test_a_password_that_is_not_needed_does_no_harm(name: str) -> None:
    read_dict_settings(variables(**{f"{name}_PASSWORD": "geheim"}))


def test_a_key_that_cannot_make_dicts_signatures_is_refused() -> None:
    elliptic = certificates().client(ISPB)

    said = refused(
        VSYNC_SIGNING_CERT_FILE=str(elliptic.certificate_file), VSYNC_SIGNING_KEY_FILE=str(elliptic.key_file)
    )

    assert said == "VSYNC_SIGNING_KEY_FILE is not an RSA key of 2048 bits or more"


def test_a_key_that_is_too_short_is_refused(tmp_path: Path) -> None:
    key = rsa.generate_private_key(65_537, 1_024)  # noqa: S505 - too short on purpose
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, ISPB)]), datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=90))
    (tmp_path / "certificate").write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
    (tmp_path / "key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    said = refused(VSYNC_SIGNING_CERT_FILE=str(tmp_path / "certificate"), VSYNC_SIGNING_KEY_FILE=str(tmp_path / "key"))

    assert said == "VSYNC_SIGNING_KEY_FILE is not an RSA key of 2048 bits or more"


def test_dicts_signing_certificates_rotate(tmp_path: Path) -> None:
    """Two files, one of which holds two certificates: each may sign, and nobody else."""
    next_ones = tmp_path / "next.pem"
    next_ones.write_bytes(b"".join(identity(name).certificate.public_bytes(Encoding.PEM) for name in ("a", "b")))
    files = f"{certificates().signing.certificate_file} , {next_ones},"
    settings = read_dict_settings(variables(VSYNC_DICT_SIGNING_CERT_FILES=files))

    problem = Problem("Forbidden", 403, "t")
    for signer in (certificates().signing.signer(), identity("a").sign, identity("b").sign):
        settings.verify(signer(problem.to_xml()))
    with pytest.raises(SignatureRefusedError):
        settings.verify(identity("c").sign(problem.to_xml()))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("VSYNC_DICT_URL", "dict.geheim", "VSYNC_DICT_URL is malformed"),
        ("VSYNC_DICT_URL", "https://", "VSYNC_DICT_URL is malformed"),
        ("VSYNC_DICT_URL", "https://u:geheim@h:x/", "VSYNC_DICT_URL is malformed"),
        ("VSYNC_DICT_URL", "https://h/?geheim", "VSYNC_DICT_URL is malformed"),
        ("VSYNC_DICT_URL", "ftp://geheim/", "VSYNC_DICT_URL is malformed"),
        ("VSYNC_DICT_URL", "http://geheim/", "VSYNC_DICT_URL must be https"),
        ("VSYNC_DICT_URL", "http://127.0.0.1/", "VSYNC_DICT_URL must be https"),
        ("VSYNC_DICT_DOWNLOAD_BASE", "http://geheim/", "VSYNC_DICT_DOWNLOAD_BASE must be https"),
        ("VSYNC_DICT_DOWNLOAD_BASE", "geheim", "VSYNC_DICT_DOWNLOAD_BASE is malformed"),
        ("VSYNC_DICT_DOWNLOAD_HOSTS", "https://geheim/", "VSYNC_DICT_DOWNLOAD_HOSTS is malformed"),
        ("VSYNC_DICT_DOWNLOAD_HOSTS", "geheim:", "VSYNC_DICT_DOWNLOAD_HOSTS is malformed"),
        ("VSYNC_DICT_DOWNLOAD_HOSTS", "geheim:0x50", "VSYNC_DICT_DOWNLOAD_HOSTS is malformed"),
        ("VSYNC_DICT_ENVIRONMENT", "geheim", "VSYNC_DICT_ENVIRONMENT is malformed; it is production or homologation"),
        ("VSYNC_DICT_KEYS_CHECK_URL", "geheim", "VSYNC_DICT_KEYS_CHECK_URL is malformed"),
        ("VSYNC_DICT_INSECURE", "geheim", "VSYNC_DICT_INSECURE is malformed"),
    ],
)
def test_a_malformed_variable_is_named_without_its_value(name: str, value: str, said: str) -> None:
    assert refused(**{name: value}).startswith(said)


@pytest.mark.parametrize(
    ("hosts", "base", "allowed"),
    [
        (None, None, {"dict.example"}),
        (None, "https://gateway.example/arq", {"gateway.example:443"}),
        (None, "https://gateway.example:8443/", {"gateway.example:8443"}),
        ("files.example:1130", None, {"files.example:1130"}),
        ("Files.example, dict.example,", None, {"files.example", "dict.example"}),
        ("files.example", "https://gateway.example/arq", {"files.example"}),
    ],
)
def test_files_come_from_dicts_host_unless_others_are_named(
    hosts: str | None, base: str | None, allowed: set[str]
) -> None:
    settings = read_dict_settings(variables(VSYNC_DICT_DOWNLOAD_HOSTS=hosts, VSYNC_DICT_DOWNLOAD_BASE=base))

    assert settings.downloads == DownloadRule(frozenset(allowed), base)


@pytest.mark.parametrize(
    ("name", "url", "keys_check_url", "file_host"),
    [
        (
            "production",
            "https://dict.pi.rsfn.net.br:16422/api/v2/",
            "https://dict-np.pi.rsfn.net.br:16432/api-np/v2/",
            "arq.pi.rsfn.net.br:1130",
        ),
        (
            "homologation",
            "https://dict-h.pi.rsfn.net.br:16522/api/v2/",
            "https://dict-np-h.pi.rsfn.net.br:16532/api-np/v2/",
            "arq-h.pi.rsfn.net.br:1130",
        ),
    ],
)
def test_an_environment_sets_where_dict_is(name: str, url: str, keys_check_url: str, file_host: str) -> None:
    settings = read_dict_settings(variables(VSYNC_DICT_URL=None, VSYNC_DICT_ENVIRONMENT=name))

    assert (settings.url, settings.keys_check_url) == (url, keys_check_url)
    assert settings.downloads == DownloadRule(frozenset({file_host}))
    settings.downloads.place(
        f"https://{file_host}/api/v1/download/{ISPB}/cidsetfile/{ISPB}_CPF_1_2026-01-10T10:00:00Z.txt"
    )
    other = "arq-h.pi.rsfn.net.br" if name == "production" else "arq.pi.rsfn.net.br"
    for elsewhere in (f"https://{other}:1130/a", f"https://{file_host}0/a", url):
        with pytest.raises(CidFilePlaceError, match="not one of VSYNC_DICT_DOWNLOAD_HOSTS"):
            settings.downloads.place(elsewhere)


def test_single_variables_override_the_environment() -> None:
    settings = read_dict_settings(
        variables(
            VSYNC_DICT_ENVIRONMENT="homologation",
            VSYNC_DICT_KEYS_CHECK_URL="https://np.example/api-np/v2",
            VSYNC_DICT_DOWNLOAD_HOSTS="files.example",
        )
    )

    assert (settings.url, settings.keys_check_url) == (f"{URL}/", "https://np.example/api-np/v2/")
    assert settings.downloads == DownloadRule(frozenset({"files.example"}))
    assert read_dict_settings(variables()).keys_check_url is None


def test_nothing_insecure_is_said_of_another_machine() -> None:
    elsewhere = " is for a DICT on this machine only, and "
    insecure = {"VSYNC_DICT_URL": "http://127.0.0.1/", "VSYNC_DICT_INSECURE": "1"}
    assert elsewhere in refused(**insecure, VSYNC_DICT_DOWNLOAD_HOSTS="127.0.0.1,files.example:1130")
    assert elsewhere in refused(VSYNC_DICT_URL=None, VSYNC_DICT_INSECURE="1", VSYNC_DICT_ENVIRONMENT="production")
    read_dict_settings({**insecure, "VSYNC_DICT_DOWNLOAD_HOSTS": "127.0.0.1:1130"})


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8765/api/v2/", "http://localhost/", "http://[::1]:1/", "https://127.1.2.3/"]
)
def test_verification_is_switched_off_on_this_machine_only(url: str) -> None:
    settings = read_dict_settings({"VSYNC_DICT_URL": url, "VSYNC_DICT_INSECURE": "1"})

    assert settings.insecure
    assert settings.downloads.plain_http
    settings.verify(settings.sign(Problem("Forbidden", 403, "t").to_xml()))


@pytest.mark.parametrize(
    "url", ["https://dict.example/", "http://127.0.0.1.example/", "http://10.0.0.1/", "http://localhost.example/"]
)
def test_verification_is_never_switched_off_for_another_machine(url: str) -> None:
    said = refused(VSYNC_DICT_URL=url, VSYNC_DICT_INSECURE="1")

    assert said == "VSYNC_DICT_INSECURE is for a DICT on this machine only, and VSYNC_DICT_URL is elsewhere"


@pytest.mark.parametrize("value", ["", "0"])
def test_verification_is_on_unless_it_is_switched_off(value: str) -> None:
    assert not read_dict_settings(variables(VSYNC_DICT_INSECURE=value)).insecure


def test_a_weak_certificate_of_dicts_or_ours_is_refused(tmp_path: Path) -> None:
    weak = tmp_path / "weak.pem"
    weak.write_bytes(self_signed(rsa.generate_private_key(65537, 1024)))  # noqa: S505 - so it must be
    too_weak = r"names a certificate \(serial number [0-9a-f]+\) without an RSA key of 2048 bits or more"

    assert re.fullmatch(f"VSYNC_DICT_SIGNING_CERT_FILES {too_weak}", refused(VSYNC_DICT_SIGNING_CERT_FILES=str(weak)))
    ours = refused(VSYNC_SIGNING_CERT_FILE=str(weak), VSYNC_SIGNING_KEY_FILE=None, VSYNC_SIGNING_KEY="pkcs11:object=a")
    assert re.fullmatch(f"VSYNC_SIGNING_CERT_FILE {too_weak}", ours)


def test_a_key_is_in_a_file_or_in_a_token_not_in_both() -> None:
    said = refused(VSYNC_SIGNING_KEY="pkcs11:object=geheim")

    assert said == "VSYNC_SIGNING_KEY and VSYNC_SIGNING_KEY_FILE are both set; unset the one not in use"


@pytest.mark.parametrize("name", KEYS)
def test_a_key_file_that_others_can_read_is_warned_of(name: str, tmp_path: Path) -> None:
    copy = tmp_path / "geheim.key"
    copy.write_bytes(Path(variables()[f"{name}_FILE"]).read_bytes())
    copy.chmod(0o604)

    [warning] = read_dict_settings(variables(**{f"{name}_FILE": str(copy)})).warnings

    assert warning == f"the file of {name}_FILE can be read by every user of this machine: run chmod 600"
    copy.chmod(0o640)
    assert read_dict_settings(variables(**{f"{name}_FILE": str(copy)})).warnings == ()


def self_signed(key: rsa.RSAPrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "weak")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 4711, now, now + timedelta(days=1))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


# How long certificates last


def test_every_configured_certificate_tells_how_long_it_lasts() -> None:
    told = read_dict_settings(variables()).certificates

    assert [one.variable for one in told] == [
        "VSYNC_DICT_CLIENT_CERT_FILE",
        "VSYNC_DICT_CA_FILE",
        "VSYNC_SIGNING_CERT_FILE",
        "VSYNC_DICT_SIGNING_CERT_FILES",
    ]
    signing = certificates().signing.certificate()
    assert told[-1].serial_number == signing.serial_number
    assert told[-1].days_left(signing.not_valid_after_utc - timedelta(days=7)) == 7


@pytest.mark.parametrize(("days", "soon"), [(30, False), (29.9, True), (0, True), (-1, True)])
def test_a_certificate_is_to_be_renewed_within_thirty_days_of_its_end(days: float, soon: bool) -> None:
    now = datetime(2026, 1, 10, tzinfo=UTC)
    certificate = ConfiguredCertificate("VSYNC_SIGNING_CERT_FILE", 1, now, now + timedelta(days=days))

    assert ending_soon([certificate], now) == ([certificate] if soon else [])


def test_days_left_are_told_without_any_key(tmp_path: Path) -> None:
    given = certificates().variables(ISPB)
    now = datetime.now(UTC)
    pem = tmp_path / "dict.pem"
    for days in (30, 7, 365):
        issued = authority().issue_cert("dict.example", not_after=now + timedelta(days=days))
        issued.cert_chain_pems[0].write_to_path(str(pem), append=True)
    named = {name: given[name] for name in given if name.endswith(("CERT_FILE", "CA_FILE"))}

    told = certificate_days_left({**named, "VSYNC_DICT_SIGNING_CERT_FILES": str(pem)}, now)

    assert told.keys() == {*named, "VSYNC_DICT_SIGNING_CERT_FILES"}
    assert round(told["VSYNC_DICT_SIGNING_CERT_FILES"]) == 7, "the first to end"
    ours = x509.load_pem_x509_certificates(Path(given["VSYNC_SIGNING_CERT_FILE"]).read_bytes())[0]
    assert told["VSYNC_SIGNING_CERT_FILE"] == (ours.not_valid_after_utc - now) / timedelta(days=1)


def test_days_left_of_what_cannot_be_read_are_not_told(tmp_path: Path) -> None:
    assert certificate_days_left({"VSYNC_SIGNING_CERT_FILE": str(tmp_path / "none.pem")}, datetime.now(UTC)) == {}


# On the wire


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.peers.append(self.connection.getpeercert())  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.peers: list[object] = []
        self.socket = context.wrap_socket(self.socket, server_side=True)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: refused connections are part of the tests."""


@contextmanager
def tls_server(context: ssl.SSLContext | None = None) -> Iterator[_Server]:
    """A server that demands a certificate, certified by the test's authority unless its context says otherwise."""
    if context is None:
        context = server_context(certificates().server.certificate_file, certificates().server.key_file)
    server = _Server(context)
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certificates().authority_file)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(certificate, key)
    return context


@contextmanager
def connected(server: _Server, ssl_context: ssl.SSLContext | None) -> Iterator[Line]:
    with http_client(f"https://127.0.0.1:{server.server_port}/", ssl_context=ssl_context, timeout=5) as http:
        yield Line(http)


def refused_connection(server: _Server, ssl_context: ssl.SSLContext | None) -> str:
    """The error of a call that nobody answers, which is not tried again and costs nothing."""
    with connected(server, ssl_context) as line, pytest.raises(DictIdentityError) as error:
        line.client().list_policies()
    assert isinstance(error.value, PermanentError)
    assert [call.result for call in line.calls] == ["CERTIFICATE_REFUSED"]
    assert line.books.taken == line.books.refunded == ["POLICIES_LIST"]
    assert server.peers == []
    return str(error.value)


@pytest.mark.parametrize("with_password", [False, True])
def test_our_certificate_is_shown(with_password: bool, tmp_path: Path) -> None:
    name = "VSYNC_DICT_CLIENT_KEY"
    changes = {f"{name}_FILE": encrypted(name, tmp_path), f"{name}_PASSWORD": "geheim"} if with_password else {}
    settings = read_dict_settings(variables(**changes))
    with tls_server() as server, connected(server, settings.ssl_context) as line:
        assert line.http.get("").status_code == 200
    assert ISPB in str(server.peers)


def test_a_server_of_another_authority_is_refused(tmp_path: Path) -> None:
    made = trustme.CA().issue_cert("127.0.0.1")
    certificate, key = tmp_path / "certificate", tmp_path / "key"
    certificate.write_bytes(made.cert_chain_pems[0].bytes())
    key.write_bytes(made.private_key_pem.bytes())

    with tls_server(server_context(certificate, key)) as server:
        said = refused_connection(server, read_dict_settings(variables()).ssl_context)
    assert said.startswith("no TLS connection with DICT: its server's certificate is not accepted (")
    assert said.endswith("); look at VSYNC_DICT_CA_FILE, or with a gateway at VSYNC_DICT_GATEWAY_CA_FILE")


def test_a_server_of_another_name_is_refused() -> None:
    other = certificates().client("11111111")
    with tls_server(server_context(other.certificate_file, other.key_file)) as server:
        said = refused_connection(server, read_dict_settings(variables()).ssl_context)
    assert "IP address mismatch" in said


def test_a_server_that_does_not_accept_our_certificate_is_not_asked_again() -> None:
    anonymous = ssl.create_default_context(cafile=certificates().authority_file)
    # With TLS 1.3 the refusal and the reset of the connection race each other to us.
    anonymous.maximum_version = ssl.TLSVersion.TLSv1_2
    with tls_server() as server:
        said = refused_connection(server, anonymous)
    assert "it does not accept ours" in said
    assert "; look at VSYNC_DICT_CLIENT_CERT_FILE, or with a gateway at " in said


@pytest.mark.parametrize(
    ("begins", "ends", "said"),
    [(-10, 10, None), (-10, -1, "ended on 2026-11-23"), (1, 10, "begins on 2026-11-25")],
)
def test_a_certificate_out_of_its_time_is_refused_by_its_variable(begins: int, ends: int, said: str | None) -> None:
    now = datetime(2026, 11, 24, tzinfo=UTC)
    days = [now + timedelta(days=number) for number in (begins, ends)]
    ours = ConfiguredCertificate("VSYNC_DICT_CLIENT_CERT_FILE", 1, *days)
    dicts = [ConfiguredCertificate("VSYNC_DICT_SIGNING_CERT_FILES", n, now, now + timedelta(days=n)) for n in (-1, 5)]
    if said is None:
        check_dates([ours, *dicts], now)
        return
    with pytest.raises(CertificateExpiredError, match=f"the certificate of VSYNC_DICT_CLIENT_CERT_FILE {said}"):
        check_dates([ours, *dicts], now)
