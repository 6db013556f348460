"""Running the simulated DICT: as a process of its own, or in a thread of a demo or a test."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvicorn

from vsync_dagster.simulator.app import API_PATH, create_app
from vsync_dagster.simulator.certificates import Certificates
from vsync_dagster.simulator.errors import SimulatorStateError
from vsync_dagster.simulator.settings import Settings, Signatures
from vsync_dagster.simulator.state import DictState
from vsync_dagster.simulator.wire import TransportProtocol

_LOCALHOST = "127.0.0.1"
_KEEP_ALIVE_SECONDS = 30
_START_SECONDS = 30.0


class _ThreadServer(uvicorn.Server):
    """uvicorn's server, which tells another thread when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen."""
        await super().startup(sockets)
        self.listening.set()


def serve(
    state_path: Path,
    host: str,
    port: int,
    settings: Settings | None = None,
    certificates: Certificates | None = None,
    *,
    files_port: int = 0,
) -> None:
    """Serve the state in this process until a signal (SIGINT, SIGTERM) ends it; see `running_simulator`.

    Raises:
        SimulatorStateError: a port is taken, or the host is not one of this machine's.
    """
    with DictState(state_path, now=_utc_now) as state:
        listeners = [_listener(host, port), _listener(host, files_port)]
        config = _config(state, settings, certificates, listeners[1].getsockname()[1], log_level="warning")
        uvicorn.Server(config).run(listeners)


@contextmanager
def running_simulator(
    state: DictState,
    settings: Settings | None = None,
    certificates: Certificates | None = None,
    *,
    port: int = 0,
    files_port: int = 0,
) -> Iterator[str]:
    """Serve a state on this machine from a thread; yield the API's base URL, which ends in a slash.

    With certificates it does what DICT does: it takes connections over TLS from participants alone, requests that they
    have signed, and signs its answers. Without, it speaks plain http and signs and verifies nothing.

    CID files come from a port of their own, as DICT's do. Port 0 is any free one. On leaving, calls that hang are
    broken off.

    Raises:
        SimulatorStateError: the server did not start.
    """
    listener, files_listener = _listener(_LOCALHOST, port), _listener(_LOCALHOST, files_port)
    config = _config(state, settings, certificates, files_listener.getsockname()[1], log_level="critical")
    server = _ThreadServer(config)
    thread = threading.Thread(target=server.run, args=([listener, files_listener],), name="dict-simulator", daemon=True)
    thread.start()
    try:
        if not server.listening.wait(_START_SECONDS):
            raise SimulatorStateError("the DICT simulator did not start")
        scheme = "http" if certificates is None else "https"
        yield f"{scheme}://{_LOCALHOST}:{listener.getsockname()[1]}{API_PATH}/"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
        files_listener.close()


def _listener(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise SimulatorStateError(
            f"the DICT simulator cannot listen on port {port} of {host}: {error.strerror}"
        ) from None


def _config(
    state: DictState,
    settings: Settings | None,
    certificates: Certificates | None,
    files_port: int,
    log_level: str,
) -> uvicorn.Config:
    signatures = Signatures() if certificates is None else certificates.signatures()
    # No access log: a path holds a CID, a query a participant, and nobody reads either.
    return uvicorn.Config(
        create_app(state, settings, signatures, files_port=files_port),
        http=TransportProtocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_level=log_level,
        log_config=None,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        headers=[("Keep-Alive", f"timeout={_KEEP_ALIVE_SECONDS}")],
        timeout_graceful_shutdown=1,
        **({} if certificates is None else _tls(certificates)),
    )


def _tls(certificates: Certificates) -> dict[str, Any]:
    return {
        "ssl_certfile": certificates.server.certificate_file,
        "ssl_keyfile": certificates.server.key_file,
        "ssl_ca_certs": certificates.authority_file,
        "ssl_cert_reqs": ssl.CERT_REQUIRED,
    }


def _utc_now() -> datetime:
    return datetime.now(UTC)
