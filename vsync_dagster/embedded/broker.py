"""A broker that speaks Pulsar's protocol, from a wheel: for development, the demo and the tests.

`pulsar-lite` ships a single program; its Python helper is not used, because it prints to stdout, looks for a port only
between 6650 and 6700, and logs to a shared file in /tmp. What it stores survives a kill. It may deliver a message more
than once, in which case the first deliveries are in order: consumers tell repetitions by the property `id`.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vsync_dagster.embedded.folder import held, wheel_folder
from vsync_dagster.embedded.process import LOOPBACK, Server, listens, serving

# By default it serves metrics on port 8080 of every address of the machine.
CONFIGURATION = "[metrics]\nenabled = false\n"


@contextmanager
def embedded_broker(home: Path) -> Iterator[str]:
    """Run a broker with its data in `home/broker`; yield its `pulsar://` URL, and stop it on leaving.

    Raises:
        TransientError: another run uses this home, or the broker is not ready in time.
        PermanentError: the broker cannot start here.
    """
    with held(home / "broker") as folder:
        program = wheel_folder("pulsar_lite") / "bin" / "pulsar-lite"
        configuration = folder / "pulsar-lite.toml"
        configuration.write_text(CONFIGURATION, encoding="utf-8")
        topics = str(folder / "topics")
        options = ["--config", str(configuration), "--db-path", topics, "--log-level", "error"]
        server = Server(
            name="Pulsar broker",
            command=lambda port: [str(program), "--addr", f"{LOOPBACK}:{port}", *options],
            mark=topics,
            folder=folder,
            log=folder / "log",
            stop=signal.SIGTERM,
        )
        with serving(server, listens) as port:
            yield f"pulsar://{LOOPBACK}:{port}"
