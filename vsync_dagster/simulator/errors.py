"""What DICT refuses, in its own words."""

from vsync_dagster.reconcile.errors import PermanentError


class DictRuleError(PermanentError):
    """An operation on the simulator's state that DICT would refuse; `kind` is DICT's problem type."""

    code = "simulator"

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind


class SimulatorStateError(PermanentError):
    """The state file cannot be used as asked."""

    code = "simulator"
