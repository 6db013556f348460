"""A participant's gateway before DICT: takes calls over TLS, signs them, and forwards them with its certificate."""

import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import trustme
from lxml import etree

from vsync_dagster_tests.world import ISPB, certificates

_DS = "{http://www.w3.org/2000/09/xmldsig#}Signature"
_FILES_ROOT = re.compile(rb"https://127\.0\.0\.1:[0-9]+(?=/api/v1/download/)")
_FORWARDED = ("accept", "content-type", "pi-requestingparticipant")


@dataclass
class Gateway:
    """A running gateway.

    Attributes:
        url: its base URL for the API.
        authority_file: its certificate's authority.
        answers: signed (DICT's answers as they are), unsigned (without DICT's signature) or html (a page of its own).
        hosts: the Host headers that it saw.
        downloads: how many CID files it handed on.
        files_root: where DICT last said that CID files are.
    """

    upstream: str
    url: str
    authority_file: Path
    answers: str = "signed"
    hosts: list[str | None] = field(default_factory=list)
    downloads: int = 0
    files_root: str = ""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        gateway: Gateway = self.server.gateway  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        gateway.hosts.append(self.headers["Host"])
        if gateway.answers == "html":
            self._answer(502, b"<html><body>Bad Gateway</body></html>", "text/html")
            return
        is_call = not self.path.startswith("/api/v1/download/")
        gateway.downloads += not is_call
        root = gateway.upstream if is_call else gateway.files_root
        headers = {name: value for name, value in self.headers.items() if name.lower() in _FORWARDED}
        # DICT closes the connection on a Host with a port.
        headers["Host"] = "127.0.0.1"
        answer = self.server.http.request(  # type: ignore[attr-defined]
            self.command, root + self.path, content=self._signed(body) if body else None, headers=headers
        )
        content = answer.content
        if named := _FILES_ROOT.search(content):
            gateway.files_root = named[0].decode()
        if is_call and gateway.answers == "unsigned":
            content = _without_signature(content)
        self._answer(answer.status_code, content, answer.headers.get("Content-Type", "application/octet-stream"))

    def do_POST(self) -> None:
        self.do_GET()

    def _signed(self, body: bytes) -> bytes:
        document = etree.fromstring(body)
        assert document.find(_DS) is None, "whoever signs is the gateway"
        return etree.tostring(certificates().participant_signing(ISPB).signer()(document))

    def _answer(self, status: int, content: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""


def _without_signature(content: bytes) -> bytes:
    document = etree.fromstring(content)
    signature = document.find(_DS)
    assert signature is not None
    document.remove(signature)
    return etree.tostring(document)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: refused connections are part of the tests."""


@contextmanager
def running_gateway(upstream: str, folder: Path, *, client_authority: Path | None = None) -> Iterator[Gateway]:
    """Run a gateway to `upstream`, DICT's API; with `client_authority` it asks for a certificate."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued.configure_cert(context)
    if client_authority:
        context.load_verify_locations(client_authority)
        context.verify_mode = ssl.CERT_REQUIRED
    authority_file = folder / "gateway-authority.pem"
    authority.cert_pem.write_to_path(str(authority_file))
    server = _Server(("127.0.0.1", 0), _Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    root, path = upstream.split("/api/", 1)
    ours = certificates().client(ISPB)
    to_dict = ssl.create_default_context(cafile=certificates().authority_file)
    to_dict.load_cert_chain(ours.certificate_file, ours.key_file)
    gateway = Gateway(root, f"https://127.0.0.1:{server.server_port}/api/{path}", authority_file)
    server.gateway = gateway  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    with httpx.Client(verify=to_dict, trust_env=False, timeout=30) as http:
        server.http = http  # type: ignore[attr-defined]
        thread.start()
        try:
            yield gateway
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
