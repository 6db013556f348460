"""`vsync simulator`: a DICT to develop and test against."""

import shlex
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from vsync_dagster.cli.options import ISPB, database, environment
from vsync_dagster.reconcile.entry import Entry
from vsync_dagster.reconcile.errors import VsyncError
from vsync_dagster.simulator.faults import FaultKind
from vsync_dagster.simulator.operations import Operation

_OPERATIONS = [operation.value for operation in Operation]
_KINDS = [kind.value for kind in FaultKind]

state_option = click.option(
    "--state",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The simulator's state file; default $VSYNC_HOME/simulator/dict.sqlite.",
)


@click.group()
def simulator() -> None:
    """A stateful DICT over HTTP, for development and tests."""


@simulator.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8765, show_default=True)
@click.option("--files-port", default=0, show_default=True, help="Where CID files are served; 0 is any free port.")
@click.option("--lag", type=float, default=5.0, show_default=True, help="Seconds by which the event log lags.")
@click.option("--server-name", multiple=True, help="A further host name for its certificate; localhost is in it.")
@click.option("--insecure", is_flag=True, help="Plain http, no signatures: goes with VSYNC_DICT_INSECURE=1.")
@state_option
def serve(
    host: str,
    port: int,
    files_port: int,
    lag: float,
    server_name: tuple[str, ...],
    insecure: bool,
    state: Path | None,
) -> None:
    """Serve the simulated DICT until interrupted.

    It takes connections over TLS from participants alone, requests that they have signed, and signs its answers; the
    certificates are made on the first run (see `vsync simulator certificates`).
    """
    from vsync_dagster.simulator.certificates import Certificates
    from vsync_dagster.simulator.server import serve as serve_state
    from vsync_dagster.simulator.settings import Settings

    path = state_path(state)
    made = None if insecure else Certificates(certificates_folder(path), server_name)
    scheme = "http" if insecure else "https"
    click.echo(f"DICT simulator: VSYNC_DICT_URL={scheme}://{host}:{port}/api/v2/", err=True)
    serve_state(path, host, port, Settings(log_lag=timedelta(seconds=lag)), made, files_port=files_port)


@simulator.command()
@click.option("--ispb", type=ISPB, required=True)
@state_option
def certificates(ispb: str, state: Path | None) -> None:
    """Make a participant's certificates, and print the variables by which VSYNC uses them.

    \b
    eval "$(vsync simulator certificates --ispb 12345678)"
    """
    from vsync_dagster.simulator.certificates import Certificates

    for name, value in Certificates(certificates_folder(state_path(state))).variables(ispb).items():
        click.echo(f"export {name}={shlex.quote(value)}")


@simulator.command()
@click.option("--ispb", type=ISPB, required=True)
@click.option("--keys", type=click.IntRange(0), default=20_000, show_default=True, help="How many, over all types.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--letters", is_flag=True, help="With letters in CNPJs and account numbers, and accounts OTHR.")
@click.option("--local/--no-local", default=True, show_default=True, help="Also fill VSYNC_DATABASE_URL.")
@state_option
def populate(ispb: str, keys: int, seed: int, letters: bool, local: bool, state: Path | None) -> None:
    """Give a participant keys, at the simulated DICT and in its own base alike."""
    from vsync_dagster.simulator.local_base import mark, seed_local
    from vsync_dagster.simulator.population import generate, lettered
    from vsync_dagster.simulator.state import DictState

    def population() -> Iterator[Entry]:
        entries = generate(ispb, keys, seed)
        return lettered(entries) if letters else entries

    if local:
        with database().connect() as connection:
            mark(connection)
    with DictState(state_path(state), now=_now) as dict_state:
        if not dict_state.participants.known(ispb):
            dict_state.participants.add(ispb)
        dict_state.bulk_create(population())
    if local:
        with database().connect(bulk=True) as connection:
            seed_local(connection, population())
    click.echo(f"{ispb}: {keys} keys")


@simulator.command()
@click.option("--ispb", type=ISPB, required=True)
@click.option("--creates", type=click.IntRange(0), default=0, help="Keys created at DICT only.")
@click.option("--updates", type=click.IntRange(0), default=0, help="Keys changed at DICT only.")
@click.option("--deletes", type=click.IntRange(0), default=0, help="Keys deleted at DICT only.")
@click.option("--local-tampers", type=click.IntRange(0), default=0, help="Rows changed here, beneath their CIDs.")
@click.option("--seed", type=int, default=1, show_default=True)
@state_option
def drift(
    ispb: str, creates: int, updates: int, deletes: int, local_tampers: int, seed: int, state: Path | None
) -> None:
    """Move the simulated DICT and the participant's base apart."""
    from vsync_dagster.simulator.drift import drift as move_apart
    from vsync_dagster.simulator.local_base import require_mark
    from vsync_dagster.simulator.state import DictState

    with ExitStack() as stack:
        local = stack.enter_context(database().connect()) if local_tampers else None
        if local:
            require_mark(local)
        dict_state = stack.enter_context(DictState(state_path(state), now=_now))
        move_apart(
            dict_state,
            local,
            ispb,
            creates=creates,
            updates=updates,
            deletes=deletes,
            local_tampers=local_tampers,
            seed=seed,
        )
    click.echo(f"{ispb}: {creates} created, {updates} updated, {deletes} deleted, {local_tampers} tampered with here")
    click.echo("a sync within the next 5 s will count what moved at DICT as in flight", err=True)


@simulator.group()
def fault() -> None:
    """Faults that the simulated DICT is to commit; a server that runs already takes them up at once.

    \b
    vsync simulator fault set createSyncVerification STATUS --status 503 --times 20
    vsync simulator fault set listCidSetEvents HANG --seconds 60
    vsync simulator fault clear
    """


@fault.command("set")
@click.argument("operation", type=click.Choice(_OPERATIONS))
@click.argument("kind", type=click.Choice(_KINDS))
@click.option("--times", type=click.IntRange(1), default=1, show_default=True, help="How many answers.")
@click.option("--after", type=click.IntRange(0), default=0, show_default=True, help="Good answers before the first.")
@click.option("--status", type=click.IntRange(400, 599), help="STATUS: the HTTP status.")
@click.option("--retry-after", type=click.IntRange(0), help="STATUS: the header, in seconds.")
@click.option("--seconds", type=click.FloatRange(0), help="HANG, TRICKLE: how late the answer, or each byte, comes.")
@state_option
def set_fault(
    operation: str,
    kind: str,
    times: int,
    after: int,
    status: int | None,
    retry_after: int | None,
    seconds: float | None,
    state: Path | None,
) -> None:
    """Let the next answers of an operation fail."""
    from vsync_dagster.simulator.state import DictState

    with DictState(state_path(state), now=_now) as dict_state:
        dict_state.faults.add(
            Operation(operation),
            FaultKind(kind),
            times=times,
            after=after,
            status=status,
            retry_after=retry_after,
            seconds=seconds,
        )
    click.echo(f"{operation}: {kind}, {times} times after {after} good answers")


@fault.command("list")
@state_option
def list_faults(state: Path | None) -> None:
    """List the faults that are still to come."""
    from vsync_dagster.simulator.state import DictState

    with DictState(state_path(state), now=_now) as dict_state:
        for operation, kind, times, after in dict_state.faults.all_pending():
            click.echo(f"{operation}: {kind}, {times} times after {after} good answers")


@fault.command("clear")
@state_option
def clear_faults(state: Path | None) -> None:
    """Answer well from now on."""
    from vsync_dagster.simulator.state import DictState

    with DictState(state_path(state), now=_now) as dict_state:
        dict_state.faults.clear()


def state_path(state: Path | None) -> Path:
    """Return the state file's path, whose folder exists."""
    path = state or environment().home / "simulator" / "dict.sqlite"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise VsyncError(f"{path.parent} cannot be made: {error.strerror}", code="embedded-server") from None
    return path


def certificates_folder(state: Path) -> Path:
    """Return the folder of the certificates of a simulator, beside its state file."""
    return state.absolute().parent / "certificates"


def _now() -> datetime:
    return datetime.now(UTC)
