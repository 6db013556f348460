"""Who takes part: direct participants, and indirect ones with the direct participant that acts for them."""

from vsync_dagster.reconcile.ispb import RULE, is_ispb
from vsync_dagster.simulator.database import StateFile
from vsync_dagster.simulator.errors import SimulatorStateError


class Participants:
    """The participants of the simulated Pix, by ISPB."""

    def __init__(self, file: StateFile) -> None:
        self._file = file

    def add(self, ispb: str, *, via: str | None = None) -> None:
        """Add a participant, or change who acts for it; `via` is its direct participant, None if it is one itself.

        Raises:
            SimulatorStateError: an ISPB is malformed, takes part in another case of letters, or is to act for itself.
        """
        if not all(is_ispb(one) for one in (ispb, via or ispb)) or ispb == via:
            raise SimulatorStateError(f"{RULE}, and nobody is indirect through itself")
        with self._file.writing() as connection:
            spelled = connection.execute(
                "SELECT ispb FROM participants WHERE upper(ispb) = upper(?) AND ispb <> ?", (ispb, ispb)
            ).fetchone()
            if spelled is not None:
                raise SimulatorStateError(f"{ispb} takes part as {spelled[0]}: upper and lower case differ")
            connection.execute(
                "INSERT INTO participants (ispb, via) VALUES (?, ?)"
                " ON CONFLICT (ispb) DO UPDATE SET via = excluded.via",
                (ispb, via),
            )

    def all(self) -> dict[str, str | None]:
        """Return every participant's ISPB with that of the direct participant that acts for it."""
        return dict(self._file.connection.execute("SELECT ispb, via FROM participants ORDER BY ispb"))

    def known(self, ispb: str) -> bool:
        """Tell whether an ISPB takes part."""
        found = self._file.connection.execute("SELECT 1 FROM participants WHERE ispb = ?", (ispb,))
        return found.fetchone() is not None

    def may_act_for(self, requester: str, participant: str) -> bool:
        """Tell whether a participant may ask about another: about itself, and about its own indirects."""
        return requester == participant or self.direct(participant) == requester

    def direct(self, ispb: str) -> str:
        """Return the direct participant that speaks with DICT for this one: itself, if nobody acts for it."""
        found = self._file.connection.execute(
            "SELECT coalesce(via, ispb) FROM participants WHERE ispb = ?", (ispb,)
        ).fetchone()
        return ispb if found is None else str(found[0])
