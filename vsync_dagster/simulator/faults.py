"""Scripted faults: what the next answers of an operation do wrong.

They are kept in the state file, so that a test in one process can set them for a server in another, and each is used
up by exactly one call. An answer that hangs, trickles, breaks off or is garbage is an answer all the same: the
operation took place and was charged (the file that nobody heard of was made). A status takes the operation's place.
"""

from dataclasses import dataclass
from enum import StrEnum

from vsync_dagster.simulator.database import StateFile
from vsync_dagster.simulator.errors import SimulatorStateError
from vsync_dagster.simulator.operations import Operation


class FaultKind(StrEnum):
    """What goes wrong. Those without a note are for every operation."""

    STATUS = "STATUS"  # an error answer: `status`, and `retry_after` seconds if given
    GATEWAY = "GATEWAY"  # a gateway's page in HTML with `status`, signed by nobody; DICT never saw the call
    OTHER_STATUS = "OTHER_STATUS"  # HTTP's status is `status`, that of the signed problem another (404, or 403)
    HANG = "HANG"  # the answer comes `seconds` late
    TRICKLE = "TRICKLE"  # the body comes byte by byte, one every `seconds`
    RESET = "RESET"  # the connection is reset instead of an answer
    CUT = "CUT"  # the connection ends in the middle of the body
    GARBAGE = "GARBAGE"  # 200 (or 201) with what is no XML
    SIGNATURE_MISSING = "SIGNATURE_MISSING"  # the answer is not signed
    SIGNATURE_BROKEN = "SIGNATURE_BROKEN"  # it was altered after it was signed
    SIGNATURE_BY_ANOTHER = "SIGNATURE_BY_ANOTHER"  # it is signed with another key under DICT's issuer and serial number
    SIGNATURE_WRAPPED = "SIGNATURE_WRAPPED"  # the true answer and its signature are inside an altered one
    FILE_ERROR = "FILE_ERROR"  # createCidSetFile: the file ends as ERROR
    FILE_UNAVAILABLE = "FILE_UNAVAILABLE"  # createCidSetFile: it ends as UNAVAILABLE
    FILE_NEVER_READY = "FILE_NEVER_READY"  # createCidSetFile: it stays PROCESSING
    FILE_MALFORMED = "FILE_MALFORMED"  # createCidSetFile: one line is too short, with the size and hash to match
    FILE_ALTERED = "FILE_ALTERED"  # download: one digit is another than the hash covers
    FILE_TRUNCATED = "FILE_TRUNCATED"  # download: ends early, as if that were all
    FILE_LONGER = "FILE_LONGER"  # download: one line more than DICT said
    EVENTS_NEVER_END = "EVENTS_NEVER_END"  # listCidSetEvents: always says that there is more
    EVENTS_WRONG_VERIFIER = "EVENTS_WRONG_VERIFIER"  # listCidSetEvents: SyncVerifierEnd contradicts the events
    EVENTS_MISSING_ONE = "EVENTS_MISSING_ONE"  # listCidSetEvents: an event in the page's middle is left out
    WRONG_ENTRY = "WRONG_ENTRY"  # getEntryByCid: another account number, so that the CID is not the one asked for


_WITH_STATUS = (FaultKind.STATUS, FaultKind.GATEWAY, FaultKind.OTHER_STATUS)
_SLOW = (FaultKind.HANG, FaultKind.TRICKLE)
_ONLY_FOR = {
    FaultKind.FILE_ERROR: Operation.CREATE_CID_SET_FILE,
    FaultKind.FILE_UNAVAILABLE: Operation.CREATE_CID_SET_FILE,
    FaultKind.FILE_NEVER_READY: Operation.CREATE_CID_SET_FILE,
    FaultKind.FILE_MALFORMED: Operation.CREATE_CID_SET_FILE,
    FaultKind.FILE_ALTERED: Operation.DOWNLOAD_CID_SET_FILE,
    FaultKind.FILE_TRUNCATED: Operation.DOWNLOAD_CID_SET_FILE,
    FaultKind.FILE_LONGER: Operation.DOWNLOAD_CID_SET_FILE,
    FaultKind.EVENTS_NEVER_END: Operation.LIST_CID_SET_EVENTS,
    FaultKind.EVENTS_WRONG_VERIFIER: Operation.LIST_CID_SET_EVENTS,
    FaultKind.EVENTS_MISSING_ONE: Operation.LIST_CID_SET_EVENTS,
    FaultKind.WRONG_ENTRY: Operation.GET_ENTRY_BY_CID,
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault to commit.

    `seconds` is how late an answer, or each of its bytes, comes; `retry_after` a header's whole seconds.
    """

    kind: FaultKind
    status: int | None = None
    retry_after: int | None = None
    seconds: float | None = None


class Faults:
    """The faults to come, in the order in which they were added."""

    def __init__(self, file: StateFile) -> None:
        self._file = file

    def add(
        self,
        operation: Operation,
        kind: FaultKind,
        *,
        times: int = 1,
        after: int = 0,
        status: int | None = None,
        retry_after: int | None = None,
        seconds: float | None = None,
        target: str | None = None,
    ) -> None:
        """Let the next `times` answers of an operation fail, once `after` have passed untouched.

        With a `target`, only answers about one CID (hexadecimal), or about one key type.

        Raises:
            SimulatorStateError: the fault does not fit the operation, or lacks its status or its seconds.
        """
        if _ONLY_FOR.get(kind, operation) != operation:
            raise SimulatorStateError(f"{kind} is a fault of {_ONLY_FOR[kind]}, not of {operation}")
        if (kind in _WITH_STATUS) != (status is not None) or (kind in _SLOW) != (seconds is not None):
            raise SimulatorStateError(
                "a STATUS, GATEWAY or OTHER_STATUS needs its status, a HANG or a TRICKLE its seconds; no other fault"
                " has them"
            )
        self._file.connection.execute(
            "INSERT INTO faults (operation, kind, after, times, status, retry_after, seconds, target)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (operation, kind, after, times, status, retry_after, seconds, target),
        )

    def take(self, operation: Operation, target: str | None = None) -> Fault | None:
        """Return the fault that this call is to commit, and use it up; None for an honest answer.

        `target` is the CID or the key type that the call is about.
        """
        if not self._scripted(operation):
            return None
        with self._file.writing() as connection:
            row = connection.execute(
                "SELECT id, after, kind, status, retry_after, seconds FROM faults"
                " WHERE operation = ? AND (target IS NULL OR target = ?) ORDER BY id LIMIT 1",
                (operation, target),
            ).fetchone()
            if row is None:
                return None
            row_id, after, kind, *details = row
            if after > 0:
                connection.execute("UPDATE faults SET after = after - 1 WHERE id = ?", (row_id,))
                return None
            connection.execute("UPDATE faults SET times = times - 1 WHERE id = ?", (row_id,))
            connection.execute("DELETE FROM faults WHERE times <= 0")
        return Fault(FaultKind(kind), *details)

    def pending(self, operation: Operation) -> int:
        """Return how many faulty answers an operation has still to give."""
        found = self._file.connection.execute(
            "SELECT coalesce(sum(times), 0) FROM faults WHERE operation = ?", (operation,)
        ).fetchone()
        return int(found[0])

    def all_pending(self) -> list[tuple[Operation, FaultKind, int, int]]:
        """Return each fault to come: its operation and kind, how often, and after how many good answers."""
        rows = self._file.connection.execute("SELECT operation, kind, times, after FROM faults ORDER BY id").fetchall()
        return [(Operation(operation), FaultKind(kind), times, after) for operation, kind, times, after in rows]

    def clear(self) -> None:
        """Answer honestly from now on."""
        self._file.connection.execute("DELETE FROM faults")

    def _scripted(self, operation: Operation) -> bool:
        # A read alone, so that honest calls never wait for the write lock here.
        found = self._file.connection.execute("SELECT 1 FROM faults WHERE operation = ?", (operation,))
        return found.fetchone() is not None
