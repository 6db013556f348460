"""Serving the console over HTTP."""

from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from vsync_dagster.console.visit import is_loopback
from vsync_dagster.reconcile.errors import RefusedError


def config(
    app: ASGIApp, host: str, port: int, certificate: Path | None = None, key: Path | None = None
) -> uvicorn.Config:
    """Return how to serve the console: in one process, for its sessions are in its memory.

    Args:
        app: the application.
        host: the address to listen on; without a certificate one of the loopback.
        port: the port; 0 is any free one.
        certificate: PEM, with the intermediate ones after it.
        key: PEM, the certificate's.

    Raises:
        RefusedError: passwords would cross a network in the clear.
    """
    if certificate is None and not is_loopback(host):
        raise RefusedError(
            "beyond 127.0.0.1 passwords need TLS: add --certificate and --key, or a TLS proxy before it",
            code="console-needs-tls",
        )
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        ssl_certfile=certificate,
        ssl_keyfile=key,
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=5,
    )
