"""The environment variables: every one that is wrong, at once."""

import difflib
import re
from collections.abc import Callable, Collection, Iterator

from vsync_dagster.alerts.targets import read_targets
from vsync_dagster.dict_api.certificates import read_certificates, read_key_pair
from vsync_dagster.dict_api.gateway import GATEWAY
from vsync_dagster.dict_api.settings import INSECURE
from vsync_dagster.doctor.check import Check, State, failed
from vsync_dagster.environment import Environment
from vsync_dagster.preflight import DEFAULT_CRONS, cron
from vsync_dagster.reconcile.errors import VsyncError

_NAME = "variables"


def check_variables(environment: Environment, known: Collection[str]) -> list[Check]:
    """Check the form of all variables, and the files that they name.

    Args:
        environment: the variables.
        known: the names of all variables that there are; of the others, those that look like ours are warned about.
    """
    first = {_variable_of(error): error for error in reversed(list(_problems(environment)))}
    checks = [failed(_NAME, error) for _, error in sorted(first.items())]
    checks += [
        Check(_NAME, State.WARNING, f"{name} is not a variable of VSYNC", _suggestion(name, known))
        for name in sorted(environment.variables)
        if re.match("VSYNC_(?!TEST_)", name) and name not in known
    ]
    return checks or [Check(_NAME, State.OK, "all are set that must be, and well-formed")]


def _problems(environment: Environment) -> Iterator[VsyncError]:
    for read in _readers(environment):
        try:
            read()
        except VsyncError as error:
            yield error


def _readers(environment: Environment) -> Iterator[Callable[[], object]]:
    """Yield what reads each variable, or a group of them; of a group only the first that is wrong is named."""
    properties = [name for name, kind in vars(type(environment)).items() if isinstance(kind, property)]
    for name in properties:
        yield lambda name=name: getattr(environment, name)  # type: ignore[misc]
    for name in DEFAULT_CRONS:
        yield lambda name=name: cron(environment, name)  # type: ignore[misc]
    yield lambda: read_targets(environment)
    variables = environment.variables
    if variables.get(INSECURE) == "1" or variables.get(GATEWAY):
        return
    yield lambda: read_key_pair(variables, "VSYNC_DICT_CLIENT", "the certificate registered at DICT for connections")
    yield lambda: read_certificates(variables, "VSYNC_DICT_CA_FILE", "the authorities of DICT's servers")
    yield lambda: read_certificates(variables, "VSYNC_DICT_SIGNING_CERT_FILES", "the certificates DICT signs with")
    if not variables.get("VSYNC_SIGNING_KEY"):
        yield lambda: read_key_pair(variables, "VSYNC_SIGNING", "the certificate registered at DICT for signatures")


def _variable_of(error: VsyncError) -> str:
    found = re.search("VSYNC_[A-Z_]+", str(error))
    return found[0] if found else str(error)


def _suggestion(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else "`vsync --help` lists those that there are"
